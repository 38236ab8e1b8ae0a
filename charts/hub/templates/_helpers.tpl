{{/* Labels of an object; call with (list $ component). */}}
{{- define "hub.labels" -}}
{{ include "hub.matchLabels" . }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{/* Labels that selectors use; they never change. */}}
{{- define "hub.matchLabels" -}}
app.kubernetes.io/name: jupyterhub
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Reference of an image; call with its values. A digest is written as name "host/repo@sha256", tag "<hex>". */}}
{{- define "hub.image" -}}
{{ .name }}:{{ .tag }}
{{- end }}

{{/* Name of the Secret with the hub's own keys. */}}
{{- define "hub.secretName" -}}
{{ .Values.hub.existingSecret | default "hub" }}
{{- end }}

{{/* Values are kept in the release and shown by Helm to whoever may read it; call with (list $place $values). A switch is no secret. */}}
{{- define "hub.refuseSecrets" -}}
{{- range $name, $value := index . 1 }}
{{- if and (regexMatch "(?i)(secret|password|passphrase|tokens?|keys?)$" $name) (not (kindIs "bool" $value)) }}
{{- printf "%s.%s: found a secret by its name, values are no place for one. Put it in a Secret, mount that by hub.extraVolumes and hub.extraVolumeMounts, and read it in hub.extraConfig." (index $ 0) $name | fail }}
{{- end }}
{{- end }}
{{- end }}

{{/* What every container of this chart gives up. */}}
{{- define "hub.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Egress to the cluster's DNS. */}}
{{- define "hub.egressDns" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* Egress rules that values switch on; call with egressAllowRules. */}}
{{- define "hub.egressAllowRules" -}}
{{- if .dnsPortsKubeSystemNamespace }}
{{ include "hub.egressDns" . }}
{{- end }}
{{- if .nonPrivateIPs }}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16]
{{- end }}
{{- if .privateIPs }}
- to:
    - ipBlock: {cidr: 10.0.0.0/8}
    - ipBlock: {cidr: 172.16.0.0/12}
    - ipBlock: {cidr: 192.168.0.0/16}
{{- end }}
{{- end }}
