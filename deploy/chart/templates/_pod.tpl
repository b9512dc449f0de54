{{/*
The pod of one part. Of (dict "root" . "part" "collector" "arguments" (list …) "with" (list "kafka" …)).
`with` names what the part needs of: settings, kafka, policies, alerts, sealing, cluster.
*/}}
{{- define "mirrorproof.pod" -}}
{{- $ := .root -}}
{{- $part := .part -}}
{{- $own := index $.Values .part -}}
{{- $inCluster := and (has "cluster" .with) $.Values.policies.fromCluster.enabled -}}
metadata:
  labels:
    {{- include "mirrorproof.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ $part }}
    {{- /* A sidecar would need rules of its own in every policy, and the migration would never end. */}}
    sidecar.istio.io/inject: "false"
    {{- with $own.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- if has "settings" .with }}
    checksum/settings: {{ include "mirrorproof.settings" $ | sha256sum }}
    {{- end }}
    {{- if and (has "alerts" .with) $.Values.alerts.endpoints }}
    checksum/alerts: {{ toJson $.Values.alerts.endpoints | sha256sum }}
    {{- end }}
    {{- with $own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .serviceAccount | default (include "mirrorproof.serviceAccount" $) }}
  automountServiceAccountToken: {{ $inCluster }}
  {{- /* MIRRORPROOF_PORT and its like, of a Service that is called mirrorproof, are no settings. */}}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $own.terminationGracePeriodSeconds | default 30 }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: {{ $part }}
      image: {{ include "mirrorproof.image" $ | quote }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args:
        {{- toYaml .arguments | nindent 8 }}
      {{- if has "settings" .with }}
      envFrom:
        - configMapRef:
            name: {{ include "mirrorproof.fullname" $ }}-settings
      {{- end }}
      env:
        {{- include "mirrorproof.environment" . | trim | nindent 8 }}
        {{- with concat $.Values.extraEnv ($own.extraEnv | default list) }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .probes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- with .lifecycle }}
      lifecycle:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      securityContext:
        {{- toYaml $.Values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "mirrorproof.mounts" . | trim | nindent 8 }}
  volumes:
    {{- include "mirrorproof.volumes" . | trim | nindent 4 }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if .spread }}
  topologySpreadConstraints:
    {{- if $own.topologySpreadConstraints }}
    {{- toYaml $own.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "mirrorproof.selector" (list $ $part) | nindent 10 }}
    {{- end }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "mirrorproof.environment" -}}
{{- $ := .root }}
- name: MIRRORPROOF_DATABASE__URL_FILE
  value: /etc/mirrorproof/database/url
{{- if has "kafka" .with }}
{{- with $.Values.kafka }}
- name: MIRRORPROOF_KAFKA__BOOTSTRAP_SERVERS
  value: {{ join "," .bootstrapServers | quote }}
- name: MIRRORPROOF_KAFKA__TOPICS
  value: {{ join "," .topics | quote }}
- name: MIRRORPROOF_KAFKA__GROUP
  value: {{ .group | quote }}
- name: MIRRORPROOF_KAFKA__SECURITY_PROTOCOL
  value: {{ ternary "SASL_" "" (ne .sasl.mechanism "") }}{{ ternary "SSL" "PLAINTEXT" .tls.enabled }}
{{- end }}
{{- with $.Values.kafka.sasl }}
{{- if .mechanism }}
- name: MIRRORPROOF_KAFKA__SASL_MECHANISM
  value: {{ .mechanism }}
- name: MIRRORPROOF_KAFKA__USERNAME
  value: {{ .username | quote }}
- name: MIRRORPROOF_KAFKA__PASSWORD_FILE
  value: /etc/mirrorproof/kafka/password
{{- end }}
{{- end }}
{{- with $.Values.kafka.tls }}
{{- if and .enabled .ca.existingSecret }}
- name: MIRRORPROOF_KAFKA__CA_FILE
  value: /etc/mirrorproof/kafka/ca.crt
{{- end }}
{{- if and .enabled .client.existingSecret }}
- name: MIRRORPROOF_KAFKA__CERT_FILE
  value: /etc/mirrorproof/kafka/client.crt
- name: MIRRORPROOF_KAFKA__KEY_FILE
  value: /etc/mirrorproof/kafka/client.key
{{- end }}
{{- end }}
{{- end }}
{{- if and (has "alerts" .with) $.Values.alerts.endpoints }}
- name: MIRRORPROOF_ALERTS__ENDPOINTS
  value: {{ include "mirrorproof.endpoints" $ | quote }}
{{- end }}
{{- if and (has "cluster" .with) $.Values.policies.fromCluster.enabled }}
- name: MIRRORPROOF_CLUSTER__ENABLED
  value: "true"
{{- with $.Values.policies.fromCluster.namespaces }}
- name: MIRRORPROOF_CLUSTER__NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- if and (has "sealing" .with) $.Values.alerts.sealing.existingSecret }}
- name: MIRRORPROOF_ALERTS__KEY_FILE
  value: /etc/mirrorproof/sealing/key
{{- end }}
{{- end -}}

{{/* Keys of alerts.existingSecret become files. */}}
{{- define "mirrorproof.endpoints" -}}
{{- $found := list -}}
{{- range .Values.alerts.endpoints -}}
{{- $one := omit . "url_key" "secret_key" "authorization_key" "ca_key" -}}
{{- range $what, $key := pick . "url_key" "secret_key" "authorization_key" "ca_key" -}}
{{- $one = merge $one (dict (replace "_key" "_file" $what) (printf "/etc/mirrorproof/alerts/%s" $key)) -}}
{{- end -}}
{{- $found = append $found $one -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "mirrorproof.mounts" -}}
{{- $ := .root }}
- {name: tmp, mountPath: /tmp}
- {name: database, mountPath: /etc/mirrorproof/database, readOnly: true}
{{- if $.Values.database.ca.existingSecret }}
- {name: database-ca, mountPath: /etc/mirrorproof/database-ca, readOnly: true}
{{- end }}
{{- if and (has "kafka" .with) (include "mirrorproof.kafkaSecrets" $) }}
- {name: kafka, mountPath: /etc/mirrorproof/kafka, readOnly: true}
{{- end }}
{{- if and (has "alerts" .with) $.Values.alerts.existingSecret }}
- {name: alerts, mountPath: /etc/mirrorproof/alerts, readOnly: true}
{{- end }}
{{- if and (has "sealing" .with) $.Values.alerts.sealing.existingSecret }}
- {name: sealing, mountPath: /etc/mirrorproof/sealing, readOnly: true}
{{- end }}
{{- if has "policies" .with }}
{{- if $.Values.policies.files }}
- {name: policies, mountPath: /etc/mirrorproof/policies/chart, readOnly: true}
{{- end }}
{{- range $number, $name := $.Values.policies.existingConfigMaps }}
- {name: policies-{{ $number }}, mountPath: /etc/mirrorproof/policies/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "mirrorproof.volumes" -}}
{{- $ := .root }}
{{- $with := .with }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: database
  secret:
    secretName: {{ $.Values.database.existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ $.Values.database.key | quote }}, path: url}
{{- with $.Values.database.ca }}
{{- if .existingSecret }}
- name: database-ca
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ .key | quote }}, path: ca.crt}
{{- end }}
{{- end }}
{{- if has "kafka" .with }}
{{- with include "mirrorproof.kafkaSecrets" $ }}
- name: kafka
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- end }}
{{- if and (has "alerts" .with) $.Values.alerts.existingSecret }}
- name: alerts
  secret:
    secretName: {{ $.Values.alerts.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- with $.Values.alerts.sealing }}
{{- if and (has "sealing" $with) .existingSecret }}
- name: sealing
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      - {key: {{ .key | quote }}, path: key}
{{- end }}
{{- end }}
{{- if has "policies" .with }}
{{- if $.Values.policies.files }}
- name: policies
  configMap:
    name: {{ include "mirrorproof.fullname" $ }}-policies
{{- end }}
{{- range $number, $name := $.Values.policies.existingConfigMaps }}
- name: policies-{{ $number }}
  configMap:
    name: {{ $name }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What of Kafka's Secrets is mounted; empty: nothing. */}}
{{- define "mirrorproof.kafkaSecrets" -}}
{{- $sources := list -}}
{{- with .Values.kafka.sasl -}}
{{- if .mechanism -}}
{{- $item := dict "key" .passwordKey "path" "password" -}}
{{- $sources = append $sources (dict "secret" (dict "name" .existingSecret "items" (list $item))) -}}
{{- end -}}
{{- end -}}
{{- with .Values.kafka.tls -}}
{{- if and .enabled .ca.existingSecret -}}
{{- $item := dict "key" .ca.key "path" "ca.crt" -}}
{{- $sources = append $sources (dict "secret" (dict "name" .ca.existingSecret "items" (list $item))) -}}
{{- end -}}
{{- if and .enabled .client.existingSecret -}}
{{- $items := list (dict "key" .client.certKey "path" "client.crt") (dict "key" .client.keyKey "path" "client.key") -}}
{{- $sources = append $sources (dict "secret" (dict "name" .client.existingSecret "items" $items)) -}}
{{- end -}}
{{- end -}}
{{- if $sources }}{{ toYaml $sources }}{{ end -}}
{{- end -}}

{{/* Arguments that name the folders of policies. */}}
{{- define "mirrorproof.policyArguments" -}}
{{- $found := list -}}
{{- if .Values.policies.files }}{{ $found = concat $found (list "--policy" "/etc/mirrorproof/policies/chart") }}{{ end -}}
{{- range .Values.policies.existingConfigMaps -}}
{{- $found = concat $found (list "--policy" (printf "/etc/mirrorproof/policies/%s" .)) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Probes of a loop: alive means that it moves, whatever server is away. */}}
{{- define "mirrorproof.loopProbes" -}}
ports:
  - {name: health, containerPort: {{ . }}}
{{- /* A start waits up to a minute each for database and brokers. */}}
startupProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 5
  failureThreshold: 36
livenessProbe:
  httpGet: {path: /healthz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}
