{{/* Names, labels and images. */}}

{{- define "tandem.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that `-inference-TIER` still makes a name of a Service. */}}
{{- define "tandem.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "tandem.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Refuses names that only Kubernetes itself would: when half of a release is there already. */}}
{{- define "tandem.nameCheck" -}}
{{- $full := include "tandem.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $full) -}}
{{- fail (printf "%q cannot be the name of a Service, which begins with a letter and has only small letters, digits and -: set fullnameOverride" $full) -}}
{{- end -}}
{{- range $name, $tier := .Values.tiers -}}
{{- $service := printf "%s-inference-%s" $full $name -}}
{{- if gt (len $service) 63 -}}
{{- fail (printf "%s has %d characters, and the name of a Service at most 63: give tier %s a shorter name, or set fullnameOverride" $service (len $service) $name) -}}
{{- end -}}
{{- /* A label of a group's pods has the name of the first one, and eleven characters more. */}}
{{- $pod := printf "%s-group-%s-%d" $full $name (max 0 (sub (int64 $tier.replicas) 1)) -}}
{{- if and (gt (int64 $tier.parallel.pipeline) 1) (gt (len $pod) 52) -}}
{{- fail (printf "%s has %d characters, and the name of a pod that leads a group at most 52: give tier %s a shorter name, or set fullnameOverride" $pod (len $pod) $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tandem.serviceAccount" -}}
{{- default (ternary (include "tandem.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* What selects the pods of a component. Takes a list: root, component, tier (empty if it has none). */}}
{{- define "tandem.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tandem.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- with index . 2 }}
tandem/tier: {{ . }}
{{- end }}
{{- end -}}

{{/* All labels of an object; takes what `tandem.selector` takes. */}}
{{- define "tandem.labels" -}}
{{- $root := index . 0 -}}
{{ include "tandem.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: tandem
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Takes a list: root, image. */}}
{{- define "tandem.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default (index . 0).Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where the pods of a component are reached: the headless Service, whose every address gRPC balances over.
     Takes a list: root, component with tier, port. */}}
{{- define "tandem.target" -}}
{{- printf "dns:///%s-%s:%v" (include "tandem.fullname" (index . 0)) (index . 1) (index . 2) -}}
{{- end -}}
