{{/* Scaling on load: how many attempts are under way or wait for a tier, as all orchestrators tell Prometheus, against how
     many a pod bears. Triton's own queue metrics stay near zero where the engine batches by itself. */}}

{{/* The load of a tier, in PromQL. Takes a dict: root, tier. */}}
{{- define "tandem.loadQuery" -}}
{{- $of := printf "{namespace=%q, service=%q, tier=%q}" .root.Release.Namespace (printf "%s-orchestrator" (include "tandem.fullname" .root)) .tier -}}
sum(tandem_in_flight{{ $of }}) + sum(tandem_queued{{ $of }})
{{- end -}}

{{/* The load that one pod is to have. Takes a dict: root, tier, settings. */}}
{{- define "tandem.loadOfPod" -}}
{{- $tier := get .root.Values.tiers .tier -}}
{{- $variant := get $tier.variants (first (include "tandem.variants" (list .tier $tier) | fromJsonArray)) -}}
{{- max 1 (div (mul (int64 $variant.concurrency) (int64 .settings.autoscaling.targetLoadPercentage)) 100) -}}
{{- end -}}

{{/* Triggers of KEDA: those of the values, and that on load. Takes a dict: root, tier, settings. Gives JSON. */}}
{{- define "tandem.triggers" -}}
{{- $scaling := .settings.autoscaling -}}
{{- $triggers := list -}}
{{- if and (eq $scaling.signal "load") $scaling.prometheus -}}
{{- $metadata := dict "serverAddress" $scaling.prometheus "query" (include "tandem.loadQuery" .) "threshold" (include "tandem.loadOfPod" .) -}}
{{- $triggers = append $triggers (dict "type" "prometheus" "metadata" $metadata) -}}
{{- end -}}
{{- range $scaling.triggers -}}
{{- $triggers = append $triggers (deepCopy .) -}}
{{- end -}}
{{- range $triggers -}}
{{- if eq .type "prometheus" -}}
{{- $_ := set . "metadata" (merge .metadata (dict "ignoreNullValues" "false")) -}}
{{- end -}}
{{- end -}}
{{- toJson $triggers -}}
{{- end -}}

{{/* Metrics of the HorizontalPodAutoscaler. Takes a dict: root, tier, settings. */}}
{{- define "tandem.scalingMetrics" -}}
{{- $scaling := .settings.autoscaling -}}
{{- if $scaling.metrics -}}
{{ toYaml $scaling.metrics }}
{{- else if eq $scaling.signal "load" -}}
- type: External
  external:
    metric:
      name: tandem_load
      selector:
        matchLabels: {namespace: {{ .root.Release.Namespace }}, service: {{ include "tandem.fullname" .root }}-orchestrator, tier: {{ .tier }}}
    target: {type: AverageValue, averageValue: {{ include "tandem.loadOfPod" . | quote }}}
{{- else -}}
- type: Resource
  resource:
    name: cpu
    target: {type: Utilization, averageUtilization: {{ int64 $scaling.targetCPUUtilizationPercentage }}}
{{- end -}}
{{- end -}}
