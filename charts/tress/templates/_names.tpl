{{/* Labels of everything that the chart makes. */}}
{{- define "tress.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: tress
{{ include "tress.selector" . }}
{{- end }}

{{/* Those of them by which the operator's pods are found, for good. */}}
{{- define "tress.selector" -}}
app.kubernetes.io/name: tress-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What the restricted standard asks of a pod. */}}
{{- define "tress.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* And of a container. */}}
{{- define "tress.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
