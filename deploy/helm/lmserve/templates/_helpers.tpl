{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "lmserve.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "lmserve.fullname" -}}
{{- $name := include "lmserve.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "lmserve.selector" -}}
app.kubernetes.io/name: {{ include "lmserve.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Pods of the release that serve, but not those of tests. */}}
{{- define "lmserve.serverSelector" -}}
{{ include "lmserve.selector" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "lmserve.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "lmserve.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lmserve.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lmserve.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image of a dictionary with repository, tag and digest: (list image root) */}}
{{- define "lmserve.image" -}}
{{- $image := index . 0 -}}
{{- $root := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "lmserve.claimName" -}}
{{- default (printf "%s-store" (include "lmserve.fullname" .)) .Values.models.pvc.existingClaim -}}
{{- end -}}

{{/* The kind of the object that makes the servers. */}}
{{- define "lmserve.workloadKind" -}}
{{- ternary "StatefulSet" "Deployment" .Values.models.pvc.perReplica -}}
{{- end -}}

{{/* What the claims that the chart creates ask for. */}}
{{- define "lmserve.claimSpec" -}}
{{- with .Values.models.pvc -}}
accessModes: {{ default (list (ternary "ReadWriteOnce" "ReadWriteMany" .perReplica)) .accessModes | toJson }}
resources:
  requests:
    storage: {{ .size }}
{{- with .storageClassName }}
storageClassName: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The Secret with the certificate of the server; empty without TLS. */}}
{{- define "lmserve.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{- default (printf "%s-tls" (include "lmserve.fullname" .)) .Values.tls.secretName -}}
{{- else -}}
{{- .Values.tls.secretName -}}
{{- end -}}
{{- end -}}

{{/* The models of `helm test` and of the init container, as a list of commas. */}}
{{- define "lmserve.required" -}}
{{- join "," .Values.models.require -}}
{{- end -}}

{{/* Where lm_client of `helm test` finds what it needs with TLS. */}}
{{- define "lmserve.clientEnv" -}}
{{- if include "lmserve.tlsSecret" . }}
- name: LMSERVE_TLS_CA
  value: /etc/lmserve/ca/ca.crt
- name: LMSERVE_TLS_SERVER_NAME
  value: {{ .Values.tls.serverName | quote }}
{{- if .Values.tls.testSecretName }}
- name: LMSERVE_TLS_CERTIFICATE
  value: /etc/lmserve/client/tls.crt
- name: LMSERVE_TLS_KEY
  value: /etc/lmserve/client/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{- define "lmserve.clientMounts" -}}
{{- if include "lmserve.tlsSecret" . }}
- name: ca
  mountPath: /etc/lmserve/ca
  readOnly: true
{{- if .Values.tls.testSecretName }}
- name: client
  mountPath: /etc/lmserve/client
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "lmserve.clientVolumes" -}}
{{- if include "lmserve.tlsSecret" . }}
- name: ca
  secret:
    secretName: {{ default (include "lmserve.tlsSecret" .) .Values.tls.caSecretName }}
    items:
      - {key: ca.crt, path: ca.crt}
{{- if .Values.tls.testSecretName }}
- name: client
  secret:
    secretName: {{ .Values.tls.testSecretName }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
A probe of a health service: (list root service). The kubelet speaks no TLS, so with
TLS it asks the port that answers health alone.
*/}}
{{- define "lmserve.probe" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
grpc:
  port: {{ ternary $root.Values.server.healthPort $root.Values.server.port (ne (include "lmserve.tlsSecret" $root) "") }}
  {{- with $service }}
  service: {{ . }}
  {{- end }}
{{- end -}}

{{/* What every container that copies models has: (list root name) */}}
{{- define "lmserve.syncContainer" -}}
{{- $root := index . 0 -}}
{{- $sync := $root.Values.models.sync -}}
image: {{ include "lmserve.image" (list $sync.image $root) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
env:
  - name: HOME
    value: /tmp
{{- with $sync.env }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- with $sync.envFrom }}
envFrom:
{{ toYaml . | indent 2 }}
{{- end }}
resources:
{{ toYaml $sync.resources | indent 2 }}
securityContext:
{{ toYaml $root.Values.securityContext | indent 2 }}
volumeMounts:
  - name: store
    mountPath: /store
  - name: tmp
    mountPath: /tmp
{{- end -}}

{{/* The arguments that `lm_store pull` and `lm_store sync` share, as a JSON list. */}}
{{- define "lmserve.syncArguments" -}}
{{- $sync := .Values.models.sync -}}
{{- $arguments := list "/store" $sync.remote "--newest" (toString (int $sync.newest)) -}}
{{- if gt (int $sync.newest) 0 -}}
{{- $arguments = append $arguments "--remove-old" -}}
{{- end -}}
{{- range $sync.models -}}
{{- $arguments = concat $arguments (list "--model" .) -}}
{{- end -}}
{{- range $sync.rcloneOptions -}}
{{- $arguments = append $arguments (printf "--rclone-option=%s" .) -}}
{{- end -}}
{{- toJson $arguments -}}
{{- end -}}

{{/* The Secret with the roots of the collector of traces; empty: none is needed. */}}
{{- define "lmserve.traceCaSecret" -}}
{{- if and .Values.traces.endpoint .Values.traces.tls -}}
{{- .Values.traces.caSecretName -}}
{{- end -}}
{{- end -}}

{{/* What values.schema.json cannot say. */}}
{{- define "lmserve.checks" -}}
{{- if and .Values.traces.caSecretName (not .Values.traces.tls) -}}
{{- fail "traces.caSecretName requires traces.tls" -}}
{{- end -}}
{{- if and .Values.traces.tls (not .Values.traces.endpoint) -}}
{{- fail "traces.tls requires traces.endpoint" -}}
{{- end -}}
{{- if and .Values.tls.clientCaSecretName (not (include "lmserve.tlsSecret" .)) -}}
{{- fail "tls.clientCaSecretName requires tls.secretName or tls.certManager.enabled" -}}
{{- end -}}
{{- with .Values.models.pvc -}}
{{- if and (eq $.Values.models.source "pvc") (not .create) (not .existingClaim) (not .perReplica) -}}
{{- fail "models.source pvc requires models.pvc.existingClaim, models.pvc.create or models.pvc.perReplica" -}}
{{- end -}}
{{- if and .perReplica (or .create .existingClaim) -}}
{{- fail "models.pvc.perReplica excludes models.pvc.existingClaim and models.pvc.create" -}}
{{- end -}}
{{- if and .perReplica (eq $.Values.models.source "image") -}}
{{- fail "models.pvc.perReplica requires models.source pvc or sync" -}}
{{- end -}}
{{- end -}}
{{- /* A label of its pods has this name, a hyphen and ten characters. */ -}}
{{- if and .Values.models.pvc.perReplica (gt (len (include "lmserve.fullname" .)) 52) -}}
{{- fail "models.pvc.perReplica requires a name of at most 52 characters: set fullnameOverride" -}}
{{- end -}}
{{- if and (eq .Values.models.source "sync") (not .Values.models.sync.remote) -}}
{{- fail "models.source sync requires models.sync.remote" -}}
{{- end -}}
{{- if and (eq .Values.models.source "image") (not .Values.models.image.reference) -}}
{{- fail "models.source image requires models.image.reference" -}}
{{- end -}}
{{- if and .Values.server.http.enabled (not .Values.tokens.secretName) (not .Values.tls.clientCaSecretName) (not .Values.server.http.withoutTokens) -}}
{{- fail "server.http.enabled requires tokens.secretName, tls.clientCaSecretName or server.http.withoutTokens" -}}
{{- end -}}
{{- end -}}
