{{- define "tress.testLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
app.kubernetes.io/name: tress-test
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* `spec` of a pod that runs a script; it ends where `args` begin. The operator's image has a shell, so no other is needed. */}}
{{- define "tress.testPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
activeDeadlineSeconds: 120
{{- with .Values.operator.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "tress.podSecurity" . | nindent 2 }}
containers:
  - name: test
    image: {{ .Values.operator.image }}
    imagePullPolicy: {{ .Values.operator.imagePullPolicy }}
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
    securityContext:
      {{- include "tress.containerSecurity" . | nindent 6 }}
    command: [bash, -c]
{{- end }}

{{/* The line that reaches for the server of a URL. */}}
{{- define "tress.reach" -}}
{{- $url := urlParse (index . 1) -}}
{{- $host := regexReplaceAll ":[0-9]+$" $url.host "" -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
reach {{ index . 0 }} {{ squote $host }} {{ $port }}
{{- end }}
