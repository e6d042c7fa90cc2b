{{/* The policy and the catalogue, as the services read them. */}}

{{/* Refuses a policy with a text where a fraction is meant: `--set` makes such of 0.9. Takes a list: path, value. */}}
{{- define "tandem.refuseFractionsAsText" -}}
{{- $path := index . 0 -}}
{{- $value := index . 1 -}}
{{- if kindIs "map" $value -}}
{{- range $key, $each := $value -}}
{{- include "tandem.refuseFractionsAsText" (list (printf "%s.%s" $path $key) $each) -}}
{{- end -}}
{{- else if kindIs "slice" $value -}}
{{- range $index, $each := $value -}}
{{- include "tandem.refuseFractionsAsText" (list (printf "%s[%d]" $path $index) $each) -}}
{{- end -}}
{{- else if and (kindIs "string" $value) (regexMatch "^-?[0-9]*[.][0-9]+$" $value) -}}
{{- fail (printf "%s is the text %q, and no number: Helm's --set makes a text of a fraction. Say --set-json '%s=%s', or write it into a file of values" $path $value $path $value) -}}
{{- end -}}
{{- end -}}

{{/* The shipped policy with what the values change in it. */}}
{{- define "tandem.policy" -}}
{{- include "tandem.refuseFractionsAsText" (list "policy" .Values.policy) -}}
{{- $shipped := .Files.Get "files/policy.yaml" | fromYaml -}}
{{- $policy := mergeOverwrite $shipped (deepCopy .Values.policy) -}}
{{- range $policy.fallbacks -}}
{{- if hasKey . "true" -}}{{- /* Helm reads YAML 1.1, where `on` is a truth value. */ -}}
{{- $_ := set . "on" (get . "true") -}}
{{- $_ := unset . "true" -}}
{{- end -}}
{{- end -}}
{{- toYaml $policy -}}
{{- end -}}

{{/* Longest time that an answer may take, in whole seconds. */}}
{{- define "tandem.longestSeconds" -}}
{{- $policy := include "tandem.policy" . | fromYaml -}}
{{- div (add (int64 $policy.deadline.max_ms) 999) 1000 -}}
{{- end -}}

{{/* Name of a variant's Triton model. Takes a list: name of the tier, tier, name of the variant. */}}
{{- define "tandem.model" -}}
{{- $tier := index . 1 -}}
{{- $variant := get $tier.variants (index . 2) -}}
{{- default (ternary (index . 0) (printf "%s-%s" (index . 0) (index . 2)) (eq (index . 2) $tier.defaultVariant)) $variant.model -}}
{{- end -}}

{{/* The names of a tier's variants, the default one first, as a JSON array; fails if the default is none of them. */}}
{{- define "tandem.variants" -}}
{{- $tier := index . 1 -}}
{{- if not (hasKey $tier.variants $tier.defaultVariant) -}}
{{- fail (printf "tiers.%s.defaultVariant is %q, which is none of its variants: %s" (index . 0) $tier.defaultVariant (keys $tier.variants | sortAlpha | join ", ")) -}}
{{- end -}}
{{- prepend (without (keys $tier.variants | sortAlpha) $tier.defaultVariant) $tier.defaultVariant | toJson -}}
{{- end -}}

{{/* `true` if a variant is loaded when it is needed; else nothing. */}}
{{- define "tandem.onDemand" -}}
{{- if eq (default "resident" .load) "on-demand" -}}true{{- end -}}
{{- end -}}

{{- define "tandem.catalogue" -}}
version: 1
chat_templates:
  {{- toYaml .Values.chatTemplates | nindent 2 }}
tiers:
{{- range $name, $tier := .Values.tiers }}
  {{ $name }}:
    {{- toYaml $tier.catalogue | nindent 4 }}
    variants:
    {{- range $variant := include "tandem.variants" (list $name $tier) | fromJsonArray }}
    {{- $given := get $tier.variants $variant }}
      {{ $variant }}:
        model: {{ include "tandem.model" (list $name $tier $variant) }}
        signature: vllm
        context_tokens: {{ int64 $given.context }}
        concurrency: {{ int64 $given.concurrency }}
        latency:
          {{- toYaml $given.latency | nindent 10 }}
        {{- if include "tandem.onDemand" $given }}
        load: on-demand
        {{- with $given.loadMs }}
        load_ms: {{ . }}
        {{- end }}
        {{- with $given.idleSeconds }}
        idle_seconds: {{ . }}
        {{- end }}
        {{- end }}
    {{- end }}
{{- end }}
{{- end -}}
