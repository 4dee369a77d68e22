{{/*
What the operator may do where definitions are. It reads no Secret but its own: who controls the engine's pods (tress-control). RBAC cannot
tie `create` to a name; the rule of admission tress-operator-secrets does.
*/}}
{{- define "tress.rights" -}}
# What people write is read; its status is the operator's.
- {apiGroups: [tress.dev], resources: [signaldefinitions, sequencefeatures], verbs: [get, list, watch]}
# It makes these and never changes them.
- {apiGroups: [tress.dev], resources: [signalrevisions, sequencerevisions, sequencerollouts, backfills], verbs: [create, delete, get, list, watch]}
- apiGroups: [tress.dev]
  resources:
    - signaldefinitions/status
    - sequencefeatures/status
    - signalrevisions/status
    - sequencerevisions/status
    - sequencerollouts/status
    - backfills/status
  verbs: [get, patch, update]
# Workloads, what they are given and what stands around them.
- {apiGroups: [""], resources: [configmaps, services, serviceaccounts], verbs: [create, delete, get, list, patch, update, watch]}
- {apiGroups: [apps], resources: [deployments], verbs: [create, delete, get, list, patch, update, watch]}
- {apiGroups: [batch], resources: [jobs], verbs: [create, delete, get, list, patch, update, watch]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [create, delete, get, list, patch, update, watch]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [create, delete, get, list, patch, update, watch]}
# A pod that does not take a new route is replaced.
- {apiGroups: [""], resources: [pods], verbs: [delete, get, list, watch]}
- {apiGroups: [""], resources: [secrets], verbs: [create]}
- {apiGroups: [""], resources: [secrets], resourceNames: [tress-control], verbs: [delete, get, list, patch, update, watch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
{{- end }}
