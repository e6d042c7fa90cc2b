{{/* What all Deployments have in common. */}}

{{/* The settings of a component: the defaults, then what is said of it. Takes a list: root, settings…; gives JSON. */}}
{{- define "tandem.settings" -}}
{{- $merged := deepCopy (index . 0).Values.defaults -}}
{{- range rest . -}}
{{- $merged = mergeOverwrite $merged (deepCopy (. | default dict)) -}}
{{- end -}}
{{- toJson $merged -}}
{{- end -}}

{{/* Fields of a Deployment's spec before its template. Takes a dict: settings, selector, rollingUpdate, and the seconds
     that what its pods wait for may take to start. */}}
{{- define "tandem.deploymentSpec" -}}
revisionHistoryLimit: 3
{{- with .starts }}
progressDeadlineSeconds: {{ add (int64 .) 600 }}
{{- end }}
{{- if not .settings.autoscaling.enabled }}
replicas: {{ int64 .settings.replicas }}
{{- end }}
strategy:
  type: RollingUpdate
  rollingUpdate: {{ .rollingUpdate | default (dict "maxUnavailable" 0 "maxSurge" 1) | toJson }}
selector:
  matchLabels:
    {{- .selector | nindent 4 }}
{{- end -}}

{{/* Metadata of the pods. Takes a dict: root, settings, labels, and the checksum of what is read only at the start. */}}
{{- define "tandem.podMetadata" -}}
labels:
  {{- .labels | nindent 2 }}
  {{- with include "tandem.meshLabels" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .settings.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $mesh := include "tandem.meshAnnotations" .root }}
{{- if or .checksum .settings.podAnnotations $mesh }}
annotations:
  {{- with $mesh }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .checksum }}
  checksum/config: {{ . }}
  {{- end }}
  {{- with .settings.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Fields of a pod's spec beside its containers and volumes. Takes a dict: root, settings, selector, grace. */}}
{{- define "tandem.podSpec" -}}
{{- $settings := .settings -}}
serviceAccountName: {{ include "tandem.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ .grace }}
securityContext:
  {{- toYaml $settings.podSecurityContext | nindent 2 }}
{{- with $settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $settings.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $settings.topologySpread }}
topologySpreadConstraints:
{{- range . }}
  - {{- toYaml . | nindent 4 }}
    labelSelector:
      matchLabels:
        {{- $.selector | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Fields of a container that all have. Takes a dict: root, settings, image. */}}
{{- define "tandem.containerBase" -}}
image: {{ include "tandem.image" (list .root .image) }}
imagePullPolicy: {{ .image.pullPolicy }}
securityContext:
  {{- toYaml .settings.securityContext | nindent 2 }}
{{- end -}}

{{/* The three probes of one of Tandem's services. A service that depends on another is alive, but not ready, while
     that one is not there. Takes the settings. */}}
{{- define "tandem.grpcProbes" -}}
startupProbe:
  {{- .startupProbe | default (dict "grpc" (dict "port" .port "service" "live") "periodSeconds" 2 "timeoutSeconds" 5 "failureThreshold" 60) | toYaml | nindent 2 }}
readinessProbe:
  {{- .readinessProbe | default (dict "grpc" (dict "port" .port) "periodSeconds" 2 "timeoutSeconds" 5 "failureThreshold" 3) | toYaml | nindent 2 }}
livenessProbe:
  {{- .livenessProbe | default (dict "grpc" (dict "port" .port "service" "live") "periodSeconds" 10 "timeoutSeconds" 5 "failureThreshold" 6) | toYaml | nindent 2 }}
{{- end -}}

{{/* A Deployment of one of Tandem's services. Takes a dict: root, service, component, tier, settings, port, env (YAML), volumes, mounts (lists), drain (seconds), documents (bool), starts (seconds that Triton may take, where it is waited for). */}}
{{- define "tandem.service" -}}
{{- $root := .root -}}
{{- $settings := .settings -}}
{{- $full := include "tandem.fullname" $root -}}
{{- $name := .tier | empty | ternary .component (printf "%s-%s" .component .tier) -}}
{{- $selector := include "tandem.selector" (list $root .component .tier) -}}
{{- $labels := include "tandem.labels" (list $root .component .tier) -}}
{{- $prefix := printf "TANDEM_%s_" (upper .service) -}}
{{- $health := include "tandem.healthPort" $root -}}
{{- $tls := include "tandem.tlsVolumes" (dict "root" $root "name" $name "service" .service) | fromJsonArray -}}
{{- $volumes := concat (.volumes | default list) $tls -}}
{{- $mounts := concat (.mounts | default list) (include "tandem.tlsMounts" $tls | fromJsonArray) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $full }}-{{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  {{- include "tandem.deploymentSpec" (dict "settings" $settings "selector" $selector "starts" .starts) | nindent 2 }}
  template:
    metadata:
      {{- include "tandem.podMetadata" (dict "root" $root "settings" $settings "labels" $labels) | nindent 6 }}
    spec:
      {{- include "tandem.podSpec" (dict "root" $root "settings" $settings "selector" $selector "grace" (add (int64 $settings.preStopSeconds) (int64 .drain) 10)) | nindent 6 }}
      containers:
        - name: {{ .component }}
          {{- include "tandem.containerBase" (dict "root" $root "settings" $settings "image" $root.Values.image) | nindent 10 }}
          command: [tandem]
          args: [serve, {{ .service }}]
          env:
            - {name: HOME, value: /tmp}
            - {name: {{ $prefix }}LISTEN, value: "0.0.0.0:{{ .port }}"}
            {{- if $root.Values.monitoring.metrics }}
            - {name: {{ $prefix }}METRICS_LISTEN, value: "0.0.0.0:9464"}
            {{- end }}
            - {name: {{ $prefix }}DRAIN_SECONDS, value: {{ .drain | quote }}}
            - {name: {{ $prefix }}LOG_FORMAT, value: {{ $settings.logFormat }}}
            - {name: {{ $prefix }}LOG_LEVEL, value: {{ $settings.logLevel }}}
            {{- with $health }}
            - {name: {{ $prefix }}HEALTH_LISTEN, value: "0.0.0.0:{{ . }}"}
            {{- end }}
            {{- if $root.Values.tls.enabled }}
            {{- include "tandem.tlsEnv" (dict "root" $root "service" .service) | nindent 12 }}
            {{- end }}
            {{- with .env }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with include "tandem.tracingEnv" $root }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with $settings.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: grpc, containerPort: {{ .port }}, protocol: TCP}
            {{- if $root.Values.monitoring.metrics }}
            - {name: metrics, containerPort: 9464, protocol: TCP}
            {{- end }}
            {{- with $health }}
            - {name: health, containerPort: {{ . }}, protocol: TCP}
            {{- end }}
          {{- include "tandem.grpcProbes" (merge (dict "port" (default .port $health | int)) $settings) | nindent 10 }}
          {{- if $settings.preStopSeconds }}
          lifecycle:
            preStop:
              sleep: {seconds: {{ int64 $settings.preStopSeconds }}}
          {{- end }}
          resources:
            {{- toYaml $settings.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if .documents }}
            - {name: documents, mountPath: /etc/tandem, readOnly: true}
            {{- end }}
            {{- range $mounts }}
            - {{ toJson . }}
            {{- end }}
            {{- with $settings.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- with $settings.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 256Mi}
        {{- if .documents }}
        - name: documents
          configMap: {name: {{ $full }}-documents}
        {{- end }}
        {{- range $volumes }}
        - {{ toJson . }}
        {{- end }}
        {{- with $settings.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}

{{/* A headless Service. Takes a dict: root, component, tier, ports (list of dicts: name, port, and appProtocol). */}}
{{- define "tandem.headless" -}}
{{- $name := .tier | empty | ternary .component (printf "%s-%s" .component .tier) -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "tandem.fullname" .root }}-{{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tandem.labels" (list .root .component .tier) | nindent 4 }}
spec:
  clusterIP: None
  selector:
    {{- include "tandem.selector" (list .root .component .tier) | nindent 4 }}
  ports:
    {{- $metrics := ternary (list (dict "name" "metrics" "port" 9464 "appProtocol" "http")) list (and .root.Values.monitoring.metrics (ne .component "triton")) }}
    {{- range concat .ports $metrics }}
    - {name: {{ .name }}, port: {{ .port }}, targetPort: {{ .name }}, protocol: TCP, appProtocol: {{ .appProtocol }}}
    {{- end }}
{{- end -}}

{{/* PodDisruptionBudget, and HorizontalPodAutoscaler or ScaledObject, of a Deployment. Takes a dict: root, component, tier, settings. */}}
{{- define "tandem.scaling" -}}
{{- $full := include "tandem.fullname" .root -}}
{{- $name := .tier | empty | ternary .component (printf "%s-%s" .component .tier) -}}
{{- $many := ternary (int64 .settings.autoscaling.minReplicas) (int64 .settings.replicas) .settings.autoscaling.enabled -}}
{{- if and .settings.pdb.enabled (gt $many 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $full }}-{{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tandem.labels" (list .root .component .tier) | nindent 4 }}
spec:
  maxUnavailable: {{ .settings.pdb.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "tandem.selector" (list .root .component .tier) | nindent 6 }}
{{- end }}
{{- if and (eq .settings.autoscaling.signal "load") (not (and .tier (has .component (list "inference" "triton")))) }}
{{- fail (printf "%s.autoscaling.signal is load, but load is counted by tier: set it in triton, inference, or a tier's own" .component) }}
{{- end }}
{{- $triggers := list }}
{{- if .settings.autoscaling.enabled }}
{{- if gt (int64 .settings.autoscaling.minReplicas) (int64 .settings.autoscaling.maxReplicas) }}
{{- fail (printf "%s.autoscaling: minReplicas %v is more than maxReplicas %v" $name .settings.autoscaling.minReplicas .settings.autoscaling.maxReplicas) }}
{{- end }}
{{- $triggers = include "tandem.triggers" . | fromJsonArray }}
{{- end }}
{{- if $triggers }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $full }}-{{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tandem.labels" (list .root .component .tier) | nindent 4 }}
spec:
  scaleTargetRef: {name: {{ $full }}-{{ $name }}}
  minReplicaCount: {{ int64 .settings.autoscaling.minReplicas }}
  maxReplicaCount: {{ int64 .settings.autoscaling.maxReplicas }}
  {{- with .settings.autoscaling.behavior }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- toYaml . | nindent 8 }}
  {{- end }}
  triggers:
    {{- range $triggers }}
    - {{- toYaml . | nindent 6 }}
    {{- end }}
{{- else if .settings.autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $full }}-{{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "tandem.labels" (list .root .component .tier) | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $full }}-{{ $name }}}
  minReplicas: {{ int64 .settings.autoscaling.minReplicas }}
  maxReplicas: {{ int64 .settings.autoscaling.maxReplicas }}
  metrics:
    {{- include "tandem.scalingMetrics" . | nindent 4 }}
  {{- with .settings.autoscaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}
