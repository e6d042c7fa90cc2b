{{/* The model repository of a tier's Triton, and its command line. */}}

{{/* Seconds that a tier's Triton may take to start. Takes a list: root, name of the tier. */}}
{{- define "tandem.startSeconds" -}}
{{- $root := index . 0 -}}
{{- int64 (include "tandem.settings" (list $root $root.Values.triton (get $root.Values.tiers (index . 1)).triton) | fromJson).startSeconds -}}
{{- end -}}

{{/* The most that the Triton of any tier may take. */}}
{{- define "tandem.longestStart" -}}
{{- $longest := 0 -}}
{{- range $name, $_ := .Values.tiers -}}
{{- $longest = max $longest (include "tandem.startSeconds" (list $ $name) | int64) -}}
{{- end -}}
{{- $longest -}}
{{- end -}}

{{/* Refuses an engine that would find no weights. Takes a list: name of the tier, tier, settings. */}}
{{- define "tandem.weightsCheck" -}}
{{- $name := index . 0 -}}
{{- $tier := index . 1 -}}
{{- $triton := index . 2 -}}
{{- $source := $tier.weights.source -}}
{{- if ne $triton.engine "simulator" -}}
{{- if and (eq $source "none") (not $triton.extraVolumeMounts) -}}
{{- fail (printf "tiers.%s.weights.source is none, but its engine %s serves a model: say where its weights come from, claim, huggingFace or objectStore, or mount them by triton.extraVolumeMounts" $name $triton.engine) -}}
{{- end -}}
{{- range $variant, $given := $tier.variants -}}
{{- if and (not $given.weights) (or (eq $triton.engine "llamacpp") (eq $source "huggingFace")) -}}
{{- fail (printf "tiers.%s.variants.%s.weights is empty: name %s" $name $variant (ternary "a model of the hub, such as deepseek-ai/DeepSeek-R1" "the file of its weights" (eq $source "huggingFace"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The settings of one model. Takes a dict: triton (settings), tier, variant. Gives JSON. */}}
{{- define "tandem.modelJson" -}}
{{- $variant := .variant -}}
{{- $made := dict -}}
{{- if eq .triton.engine "vllm" -}}
{{- $dtypes := dict "fp32" "float32" "bf16" "bfloat16" "fp16" "float16" -}}
{{- $made = dict "model" ($variant.weights | default "/weights") "dtype" (get $dtypes $variant.precision | default "auto") "max_model_len" (int64 $variant.context) "max_num_seqs" (int64 $variant.concurrency) "tensor_parallel_size" (int64 .tier.parallel.tensor) -}}
{{- if gt (int64 .tier.parallel.pipeline) 1 -}}
{{- $made = merge $made (dict "pipeline_parallel_size" (int64 .tier.parallel.pipeline) "distributed_executor_backend" "ray") -}}
{{- end -}}
{{- else if eq .triton.engine "llamacpp" -}}
{{- $made = dict "weights" (printf "/weights/%s" ($variant.weights | default "")) "slots" (int64 $variant.concurrency) "context_tokens" (int64 $variant.context) "threads" (int64 .triton.threads) -}}
{{- end -}}
{{- mergeOverwrite $made (deepCopy ($variant.engine | default dict)) | toPrettyJson -}}
{{- end -}}

{{/* The two files of every model, as data of a ConfigMap. Takes a list: root, name of the tier, tier, settings. */}}
{{- define "tandem.repositoryData" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $tier := index . 2 -}}
{{- $triton := index . 3 -}}
{{- range $index, $variant := include "tandem.variants" (list $name $tier) | fromJsonArray -}}
{{- $model := include "tandem.model" (list $name $tier $variant) -}}
{{- if $index }}
{{ end -}}
{{ $model }}.config.pbtxt: |
  {{- if eq $triton.engine "vllm" }}
  backend: "vllm"
  instance_group [ { count: 1 kind: KIND_MODEL } ]
  {{- else }}
  {{- $root.Files.Get "files/config.pbtxt" | trim | replace "BACKEND" $triton.engine | nindent 2 }}
  {{- end }}
{{ $model }}.model.json: |
  {{- include "tandem.modelJson" (dict "triton" $triton "tier" $tier "variant" (get $tier.variants $variant)) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The names of a tier's models. Takes a list: name of the tier, tier. Gives a JSON array. */}}
{{- define "tandem.models" -}}
{{- $name := index . 0 -}}
{{- $tier := index . 1 -}}
{{- $models := list -}}
{{- range $variant := include "tandem.variants" (list $name $tier) | fromJsonArray -}}
{{- $models = append $models (include "tandem.model" (list $name $tier $variant)) -}}
{{- end -}}
{{- toJson $models -}}
{{- end -}}

{{/* The names of those of a tier's models that are loaded at the start. Takes a list: name of the tier, tier. Gives a JSON array. */}}
{{- define "tandem.residents" -}}
{{- $name := index . 0 -}}
{{- $tier := index . 1 -}}
{{- $models := list -}}
{{- range $variant := include "tandem.variants" (list $name $tier) | fromJsonArray -}}
{{- if not (include "tandem.onDemand" (get $tier.variants $variant)) -}}
{{- $models = append $models (include "tandem.model" (list $name $tier $variant)) -}}
{{- end -}}
{{- end -}}
{{- toJson $models -}}
{{- end -}}

{{/* Arguments of tritonserver. Takes a dict: triton, models (those that are loaded at the start), longest. */}}
{{- define "tandem.tritonArgs" -}}
- --model-repository=/models
- --model-control-mode=explicit
{{- range .models }}
- --load-model={{ . }}
{{- end }}
- --grpc-address=0.0.0.0
- --grpc-port=8001
- --http-address=0.0.0.0
- --http-port=8000
- --metrics-address=0.0.0.0
- --metrics-port=8002
- --exit-timeout-secs={{ .longest }}
{{- if ne .triton.engine "vllm" }}
- --backend-directory=/opt/tandem/backends
- --backend-config=python,stub-timeout-seconds=120
{{- end }}
{{- range .triton.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Environment of Triton. Everything that it or an engine writes goes to the scratch volume. A name is needed where
     the image knows no user of this number. Takes a dict: triton, weights. */}}
{{- define "tandem.tritonEnv" -}}
- {name: HOME, value: /scratch}
- {name: USER, value: tandem}
- {name: LOGNAME, value: tandem}
- {name: TMPDIR, value: /tmp}
- {name: XDG_CACHE_HOME, value: /scratch/cache}
{{- if eq .triton.engine "vllm" }}
- {name: HF_HOME, value: {{ ternary "/weights/hub" "/scratch/hub" (eq .weights.source "huggingFace") }}}
- {name: VLLM_CACHE_ROOT, value: /scratch/cache/vllm}
- {name: VLLM_NO_USAGE_STATS, value: "1"}
- {name: TRITON_CACHE_DIR, value: /scratch/cache/triton}
- {name: TORCHINDUCTOR_CACHE_DIR, value: /scratch/cache/inductor}
{{- if ne .weights.source "huggingFace" }}
- {name: HF_HUB_OFFLINE, value: "1"}
{{- end }}
{{- with .weights.endpoint }}
- {name: HF_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .weights.tokenSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .name }}, key: {{ .key | default "token" }}}
{{- end }}
{{- else }}
- {name: TANDEM_BOOKS, value: /scratch/books}
{{- end }}
{{- end -}}

{{/* Init container that lays out the model repository. Takes a dict: root, triton, models. */}}
{{- define "tandem.repositoryInit" -}}
- name: repository
  {{- include "tandem.containerBase" (dict "root" .root "settings" .triton "image" .triton.image) | nindent 2 }}
  command: [cp, -RL{{ range .models }}, /layout/{{ . }}{{ end }}, /models/]
  resources:
    requests: {cpu: 10m, memory: 32Mi}
    limits: {cpu: 500m, memory: 128Mi}
  volumeMounts:
    - {name: layout, mountPath: /layout, readOnly: true}
    - {name: models, mountPath: /models}
{{- end -}}

{{/* Init container that fetches weights from an object store; nothing where they come from elsewhere. Takes a dict: triton, weights. */}}
{{- define "tandem.weightsInit" -}}
{{- if eq .weights.source "objectStore" -}}
- name: weights
  image: {{ .weights.objectStore.image }}
  imagePullPolicy: IfNotPresent
  securityContext:
    {{- toYaml .triton.securityContext | nindent 4 }}
  {{- with .weights.objectStore.command }}
  command: {{ toJson . }}
  {{- end }}
  {{- with .weights.objectStore.args }}
  args: {{ toJson . }}
  {{- end }}
  env:
    - {name: HOME, value: /scratch}
  {{- with .weights.objectStore.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    requests: {cpu: 500m, memory: 512Mi}
    limits: {cpu: "4", memory: 4Gi}
  volumeMounts:
    - {name: weights, mountPath: /weights}
    - {name: scratch, mountPath: /scratch}
    - {name: tmp, mountPath: /tmp}
{{- end -}}
{{- end -}}

{{/* Volumes of a pod that computes: what its processes write, and weights. Takes a dict: triton, weights. */}}
{{- define "tandem.engineVolumes" -}}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .triton.sharedMemory }}}
- name: scratch
  emptyDir: {sizeLimit: {{ .triton.scratch }}}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- if .weights.claim }}
- name: weights
  persistentVolumeClaim: {claimName: {{ .weights.claim }}, readOnly: {{ eq .weights.source "claim" }}}
{{- else if ne .weights.source "none" }}
- name: weights
  emptyDir: {sizeLimit: {{ .weights.size | default "1Ti" }}}
{{- end }}
{{- end -}}

{{/* Where those are mounted. Takes a dict: triton, weights. */}}
{{- define "tandem.engineMounts" -}}
- {name: shm, mountPath: /dev/shm}
- {name: scratch, mountPath: /scratch}
- {name: tmp, mountPath: /tmp}
{{- if or .weights.claim (ne .weights.source "none") }}
- {name: weights, mountPath: /weights, readOnly: {{ ne .weights.source "huggingFace" }}}
{{- end }}
{{- with .triton.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Requests and limits of Triton: those of the values, and the GPUs. Takes a dict: triton, tier. */}}
{{- define "tandem.tritonResources" -}}
{{- $resources := deepCopy .triton.resources -}}
{{- if eq .triton.engine "vllm" -}}
{{- $gpus := dict .triton.gpuResource (int64 .tier.parallel.tensor) -}}
{{- $resources = mergeOverwrite $resources (dict "limits" $gpus "requests" (deepCopy $gpus)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The container. Takes a dict: root, triton, name, tier, weights, longest. */}}
{{- define "tandem.tritonContainer" -}}
{{- $triton := .triton -}}
name: triton
{{ include "tandem.containerBase" (dict "root" .root "settings" $triton "image" $triton.image) }}
{{- if gt (int64 .tier.parallel.pipeline) 1 }}
# vLLM waits until Ray has the GPUs of all nodes.
command: [sh, -c, 'ray start --head --port=6379 && exec tritonserver "$@"', tritonserver]
{{- else }}
command: [tritonserver]
{{- end }}
args:
  {{- include "tandem.tritonArgs" (dict "triton" $triton "models" (include "tandem.residents" (list .name .tier) | fromJsonArray) "longest" .longest) | nindent 2 }}
env:
  {{- include "tandem.tritonEnv" (dict "triton" $triton "weights" .weights) | nindent 2 }}
  {{- with $triton.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - {name: http, containerPort: 8000, protocol: TCP}
  - {name: grpc, containerPort: 8001, protocol: TCP}
  - {name: metrics, containerPort: 8002, protocol: TCP}
startupProbe:
  {{- $triton.startupProbe | default (dict "httpGet" (dict "path" "/v2/health/ready" "port" "http") "periodSeconds" 5 "timeoutSeconds" 5 "failureThreshold" (div (add (int64 $triton.startSeconds) 4) 5)) | toYaml | nindent 2 }}
readinessProbe:
  {{- $triton.readinessProbe | default (dict "httpGet" (dict "path" "/v2/health/ready" "port" "http") "periodSeconds" 5 "timeoutSeconds" 5 "failureThreshold" 3) | toYaml | nindent 2 }}
livenessProbe:
  {{- $triton.livenessProbe | default (dict "httpGet" (dict "path" "/v2/health/live" "port" "http") "periodSeconds" 10 "timeoutSeconds" 10 "failureThreshold" 6) | toYaml | nindent 2 }}
{{- if $triton.preStopSeconds }}
lifecycle:
  preStop:
    sleep: {seconds: {{ int64 $triton.preStopSeconds }}}
{{- end }}
resources:
  {{- include "tandem.tritonResources" (dict "triton" $triton "tier" .tier) | nindent 2 }}
volumeMounts:
  - {name: models, mountPath: /models, readOnly: true}
  {{- include "tandem.engineMounts" (dict "triton" $triton "weights" .weights) | nindent 2 }}
{{- end -}}

{{/* The spec of a pod that runs Triton. Takes a dict: root, triton, name, tier, models, longest, selector. */}}
{{- define "tandem.tritonPod" -}}
{{- $full := include "tandem.fullname" .root -}}
{{- $engine := dict "triton" .triton "weights" .tier.weights -}}
{{ include "tandem.podSpec" (dict "root" .root "settings" .triton "selector" .selector "grace" (add (int64 .triton.preStopSeconds) (int64 .longest) 15)) }}
initContainers:
  {{- include "tandem.repositoryInit" (dict "root" .root "triton" .triton "models" .models) | nindent 2 }}
  {{- with include "tandem.weightsInit" $engine }}
  {{- . | nindent 2 }}
  {{- end }}
containers:
  - {{- include "tandem.tritonContainer" (dict "root" .root "triton" .triton "name" .name "tier" .tier "weights" .tier.weights "longest" .longest) | nindent 4 }}
  {{- with .triton.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  - name: layout
    configMap:
      name: {{ $full }}-triton-{{ .name }}
      items:
        {{- range .models }}
        - {key: {{ . }}.config.pbtxt, path: {{ . }}/config.pbtxt}
        - {key: {{ . }}.model.json, path: {{ . }}/1/model.json}
        {{- end }}
  - name: models
    emptyDir: {sizeLimit: 64Mi}
  {{- include "tandem.engineVolumes" $engine | nindent 2 }}
  {{- with .triton.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
