{{/* A replica over several nodes: Triton and Ray's head in its first pod, and pods that lend their GPUs to it. */}}

{{/* What a lending pod runs. Ray gives up when its head is not there within a minute, a container that ends takes the whole
     group down, and the head may be fetching weights for long: so it is waited for. */}}
{{- define "tandem.workerScript" -}}
trap 'exit 143' TERM
until python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], 6379), 5)' "$LWS_LEADER_ADDRESS" 2>/dev/null; do
  sleep 2
done
exec ray start --address="$LWS_LEADER_ADDRESS:6379" --block
{{- end -}}

{{/* The spec of a pod that lends its GPUs. Takes a dict: root, triton, tier, longest. */}}
{{- define "tandem.workerPod" -}}
{{- $engine := dict "triton" .triton "weights" .tier.weights -}}
{{ include "tandem.podSpec" (dict "root" .root "settings" (omit .triton "topologySpread") "selector" "" "grace" (add (int64 .longest) 15)) }}
{{- with include "tandem.weightsInit" $engine }}
initContainers:
  {{- . | nindent 2 }}
{{- end }}
containers:
  - name: worker
    {{- include "tandem.containerBase" (dict "root" .root "settings" .triton "image" .triton.image) | nindent 4 }}
    command: [sh, -c]
    args:
      - |
        {{- include "tandem.workerScript" . | nindent 8 }}
    env:
      {{- include "tandem.tritonEnv" (dict "triton" .triton "weights" .tier.weights) | nindent 6 }}
      {{- with .triton.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    resources:
      {{- include "tandem.tritonResources" (dict "triton" .triton "tier" .tier) | nindent 6 }}
    volumeMounts:
      {{- include "tandem.engineMounts" $engine | nindent 6 }}
volumes:
  {{- include "tandem.engineVolumes" $engine | nindent 2 }}
  {{- with .triton.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
