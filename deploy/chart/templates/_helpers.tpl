{{- define "mirrorproof.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Names of objects; cut so that "-default-deny" still fits. */}}
{{- define "mirrorproof.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains (include "mirrorproof.name" .) .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mirrorproof.name" .) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mirrorproof.release" -}}
app.kubernetes.io/name: {{ include "mirrorproof.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "mirrorproof.labels" -}}
{{ include "mirrorproof.release" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of one part's pods: (list . "collector") */}}
{{- define "mirrorproof.selector" -}}
{{ include "mirrorproof.release" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "mirrorproof.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mirrorproof.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mirrorproof.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A setting's value as the program reads it from its environment. */}}
{{- define "mirrorproof.setting" -}}
{{- if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if kindIs "string" . -}}
{{- . -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* Ports that host:port texts end with, each once. */}}
{{- define "mirrorproof.ports" -}}
{{- $ports := list -}}
{{- range . }}{{ $ports = append $ports (regexFind "[0-9]+$" . | int) }}{{ end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}

{{/* What contradicts itself between values, which a schema cannot say. */}}
{{- define "mirrorproof.check" -}}
{{- $most := .Values.collector.replicas -}}
{{- $name := "collector.replicas" -}}
{{- if .Values.collector.autoscaling.enabled -}}
{{- $most = .Values.collector.autoscaling.maxReplicas -}}
{{- $name = "collector.autoscaling.maxReplicas" -}}
{{- if gt (int .Values.collector.autoscaling.minReplicas) (int $most) -}}
{{- fail (printf "collector.autoscaling.minReplicas: %v is more than maxReplicas, %v" .Values.collector.autoscaling.minReplicas $most) -}}
{{- end -}}
{{- end -}}
{{- if gt (int $most) (int .Values.kafka.partitions) -}}
{{- fail (printf "%s: %v collectors for kafka.partitions = %v: those beyond would stand idle; take fewer, or add partitions" $name $most .Values.kafka.partitions) -}}
{{- end -}}
{{- if and .Values.api.ingress.enabled (not .Values.api.enabled) -}}
{{- fail "api.ingress.enabled: there is no API to reach; set api.enabled" -}}
{{- end -}}
{{- range .Values.alerts.endpoints -}}
{{- if and (not $.Values.alerts.existingSecret) (or .url_key .secret_key .authorization_key .ca_key) -}}
{{- fail (printf "alerts.existingSecret: endpoint %s names keys of it; set it" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
