{{/* The settings of the services, as environment variables; docs/settings.md says what each means. */}}

{{/* A value, or the key of a Secret in its place. Takes a list: variable, value, Secret, key. */}}
{{- define "tandem.secretEnv" -}}
{{- if index . 2 -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 2 }}, key: {{ index . 3 }}}
{{- else if index . 1 -}}
- {name: {{ index . 0 }}, value: {{ index . 1 | quote }}}
{{- end -}}
{{- end -}}

{{- define "tandem.orchestratorEnv" -}}
{{- $settings := .settings -}}
- {name: TANDEM_ORCHESTRATOR_CLASSIFIER, value: {{ include "tandem.target" (list .root "classifier" 50052) | quote }}}
- {name: TANDEM_ORCHESTRATOR_FUSION, value: {{ include "tandem.target" (list .root "fusion" 50055) | quote }}}
- {name: TANDEM_ORCHESTRATOR_TIERS, value: {{ .tiers | toJson | quote }}}
- {name: TANDEM_ORCHESTRATOR_CATALOGUE, value: /etc/tandem/catalogue.yaml}
- {name: TANDEM_ORCHESTRATOR_POLICY, value: /etc/tandem/policy.yaml}
- {name: TANDEM_ORCHESTRATOR_LEDGER_PROMPTS, value: {{ $settings.ledger.prompts | quote }}}
{{ include "tandem.secretEnv" (list "TANDEM_ORCHESTRATOR_LEDGER" $settings.ledger.url $settings.ledger.existingSecret $settings.ledger.key) }}
{{ include "tandem.secretEnv" (list "TANDEM_ORCHESTRATOR_CACHE_URL" $settings.cache.url $settings.cache.existingSecret $settings.cache.key) }}
{{ include "tandem.secretEnv" (list "TANDEM_ORCHESTRATOR_API_KEYS" "" $settings.apiKeys.existingSecret $settings.apiKeys.key) }}
{{- if $settings.keys.existingSecret }}
- {name: TANDEM_ORCHESTRATOR_KEYS, value: {{ printf "/etc/tandem-keys/%s" $settings.keys.key | quote }}}
{{- end }}
{{- end -}}

{{/* How long a call may take. Takes a list: prefix, longest seconds. */}}
{{- define "tandem.deadlineEnv" -}}
- {name: TANDEM_{{ index . 0 }}_DEFAULT_DEADLINE_SECONDS, value: {{ min 60 (index . 1 | int64) | quote }}}
- {name: TANDEM_{{ index . 0 }}_MAX_DEADLINE_SECONDS, value: {{ index . 1 | quote }}}
{{- end -}}

{{- define "tandem.classifierEnv" -}}
{{ include "tandem.deadlineEnv" (list "CLASSIFIER" .longest) }}
{{- with .settings.artifact }}
- {name: TANDEM_CLASSIFIER_ARTIFACT, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "tandem.fusionEnv" -}}
{{ include "tandem.deadlineEnv" (list "FUSION" .longest) }}
- {name: TANDEM_FUSION_RELIABILITY, value: {{ .settings.reliability | toJson | quote }}}
{{- with .settings.artifact }}
- {name: TANDEM_FUSION_ARTIFACT, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{- define "tandem.inferenceEnv" -}}
{{ include "tandem.deadlineEnv" (list "INFERENCE" .longest) }}
- {name: TANDEM_INFERENCE_TIER, value: {{ .tier }}}
- {name: TANDEM_INFERENCE_TRITON, value: {{ include "tandem.target" (list .root (printf "triton-%s" .tier) 8001) | quote }}}
- {name: TANDEM_INFERENCE_CATALOGUE, value: /etc/tandem/catalogue.yaml}
{{- end -}}

{{/* OpenTelemetry's own variables; none where nothing is traced. */}}
{{- define "tandem.tracingEnv" -}}
{{- $telemetry := .Values.telemetry -}}
{{- with $telemetry.otlp.endpoint -}}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ $telemetry.sampler }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ $telemetry.ratio | quote }}}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ printf "k8s.namespace.name=%s,tandem.release=%s" $.Release.Namespace $.Release.Name | quote }}}
{{- with $telemetry.otlp.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $telemetry.otlp.key }}}
{{- end }}
{{- end -}}
{{- end -}}
