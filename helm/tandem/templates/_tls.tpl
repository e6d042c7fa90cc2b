{{/* TLS by the services themselves, and what a sidecar of a mesh must know. */}}

{{/* Port that tells health in plaintext and nothing else: for the kubelet's probes, which can neither do TLS nor show
     what a mesh asks for. */}}
{{- define "tandem.healthPort" -}}
{{- if or .Values.tls.enabled (ne .Values.mesh.kind "none") -}}50050{{- end -}}
{{- end -}}

{{/* Secret with the certificate of a component. Takes a list: root, name. */}}
{{- define "tandem.tlsSecret" -}}
{{- $root := index . 0 -}}
{{- default (printf "%s-%s-tls" (include "tandem.fullname" $root) (index . 1)) $root.Values.tls.existingSecret -}}
{{- end -}}

{{/* Settings of TLS of a service. Takes a dict: root, service. */}}
{{- define "tandem.tlsEnv" -}}
{{- $tls := .root.Values.tls -}}
{{- $prefix := printf "TANDEM_%s_" (upper .service) -}}
{{- $ours := "/etc/tandem-tls/ca.crt" -}}
- {name: {{ $prefix }}TLS_CERTIFICATE, value: /etc/tandem-tls/tls.crt}
- {name: {{ $prefix }}TLS_KEY, value: /etc/tandem-tls/tls.key}
{{- if ne .service "orchestrator" }}
- {name: {{ $prefix }}TLS_CLIENT_CA, value: {{ $ours }}}
{{- else }}
{{- if $tls.clients.certificates }}
- {name: {{ $prefix }}TLS_CLIENT_CA, value: {{ $tls.clients.caSecret | empty | ternary $ours "/etc/tandem-clients/ca.crt" }}}
{{- end }}
- {name: {{ $prefix }}TLS_CA, value: {{ $ours }}}
{{- with $tls.serverName }}
- {name: {{ $prefix }}TLS_SERVER_NAME, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Volumes of TLS of a pod, as a JSON array. Takes a dict: root, name, service. */}}
{{- define "tandem.tlsVolumes" -}}
{{- $clients := .root.Values.tls.clients -}}
{{- $volumes := list -}}
{{- if .root.Values.tls.enabled -}}
{{- $volumes = append $volumes (dict "name" "tls" "secret" (dict "secretName" (include "tandem.tlsSecret" (list .root .name)) "defaultMode" 288)) -}}
{{- if and (eq .service "orchestrator") $clients.certificates $clients.caSecret -}}
{{- $items := list (dict "key" "ca.crt" "path" "ca.crt") -}}
{{- $volumes = append $volumes (dict "name" "clients" "secret" (dict "secretName" $clients.caSecret "items" $items "defaultMode" 288)) -}}
{{- end -}}
{{- end -}}
{{- toJson $volumes -}}
{{- end -}}

{{/* Where those volumes are mounted, as a JSON array. Takes the volumes. */}}
{{- define "tandem.tlsMounts" -}}
{{- $mounts := list -}}
{{- range . -}}
{{- $mounts = append $mounts (dict "name" .name "mountPath" (printf "/etc/tandem-%s" .name) "readOnly" true) -}}
{{- end -}}
{{- toJson $mounts -}}
{{- end -}}

{{/* How a gateway or a mesh has to speak with a service's port. */}}
{{- define "tandem.appProtocol" -}}
{{- ternary "https" "kubernetes.io/h2c" .Values.tls.enabled -}}
{{- end -}}

{{- define "tandem.meshLabels" -}}
{{- if eq .Values.mesh.kind "istio" -}}
sidecar.istio.io/inject: "true"
{{- end -}}
{{- end -}}

{{/* Annotations of the pods: the sidecar starts before all containers and ends after them, so that tests end and nobody
     drains without it; and it leaves the port of health to the kubelet. */}}
{{- define "tandem.meshAnnotations" -}}
{{- if eq .Values.mesh.kind "istio" -}}
sidecar.istio.io/nativeSidecar: "true"
traffic.sidecar.istio.io/excludeInboundPorts: "50050"
{{- else if eq .Values.mesh.kind "linkerd" -}}
linkerd.io/inject: enabled
config.beta.linkerd.io/proxy-enable-native-sidecar: "true"
config.linkerd.io/skip-inbound-ports: "50050"
{{- end -}}
{{- end -}}

{{/* Refuses what contradicts itself. */}}
{{- define "tandem.meshCheck" -}}
{{- if and .Values.tls.enabled (ne .Values.mesh.kind "none") -}}
{{- fail (printf "tls.enabled and mesh.kind %s: in a mesh the mesh does mTLS; set tls.enabled to false, or mesh.kind to none" .Values.mesh.kind) -}}
{{- end -}}
{{- if and .Values.tls.enabled .Values.tls.certManager.enabled .Values.tls.existingSecret -}}
{{- fail "tls.certManager.enabled and tls.existingSecret: certificates are either made or there; leave one of them out" -}}
{{- end -}}
{{- end -}}
