{{/*
Whether the models fit on the machines: the formulas of docs/operations/fit.md, in the words of `tandem plan`
(services/tandem/capacity/memory.py and fitting.py). A test holds both together. Whole numbers only.
*/}}

{{/* Refuses what does not fit. A tier without a type of node, or without a shape of its model, is not checked. */}}
{{- define "tandem.fit.check" -}}
{{- $nodes := (.Files.Get "files/nodes.yaml" | fromYaml).nodes -}}
{{- $refusals := list -}}
{{- $plans := list -}}
{{- range $name, $tier := .Values.tiers -}}
{{- $node := default $.Values.node $tier.node -}}
{{- $shape := dig "model" "shape" dict $tier -}}
{{- if and $node $shape -}}
{{- if not (hasKey $nodes $node) -}}
{{- fail (printf "there is no type of node '%s'; give one of %s" $node (keys $nodes | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $loads := list -}}
{{- range $variant, $asked := $tier.variants -}}
{{- if gt (mul (int64 $asked.context) (int64 $asked.concurrency)) 1000000000 -}}
{{- fail (printf "tier %s: %d sequences of %d tokens are more than 1000000000 tokens; lower one of them" $name (int64 $asked.concurrency) (int64 $asked.context)) -}}
{{- end -}}
{{- $loads = append $loads (dict "name" $variant "precision" $asked.precision "context" $asked.context "concurrency" $asked.concurrency "title" (printf "%s%s" $variant (ternary " (on demand)" "" (eq (default "resident" $asked.load) "on-demand")))) -}}
{{- end -}}
{{- $plan := dict "name" $name "nodeName" $node "node" (get $nodes $node) "shape" $shape "loads" $loads "tensor" (dig "parallel" "tensor" 1 $tier) "pipeline" (dig "parallel" "pipeline" 1 $tier) -}}
{{- $_ := set $plan "replicas" (int64 $tier.replicas) -}}
{{- $plans = append $plans $plan -}}
{{- if not (include "tandem.fit.fits" $plan) -}}
{{- $refusals = append $refusals (include "tandem.fit.refusal" $plan) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.shareAccelerators (not $refusals) -}}
{{- $refusals = without (list (include "tandem.fit.shared" (dict "plans" $plans))) "" -}}
{{- end -}}
{{- if $refusals -}}
{{- fail (join "\n" $refusals) -}}
{{- end -}}
{{- end -}}

{{/* Why tiers do not fit on the same accelerators of one node; nothing if they do. Takes a dict: plans. */}}
{{- define "tandem.fit.shared" -}}
{{- $needs := 0 -}}
{{- $names := list -}}
{{- $parts := list -}}
{{- range .plans -}}
{{- $sum := mul (include "tandem.fit.sum" . | int64) .replicas -}}
{{- $needs = add $needs $sum -}}
{{- $names = append $names .name -}}
{{- $parts = append $parts (printf "%s %s" .name (include "tandem.fit.gb" $sum)) -}}
{{- end -}}
{{- with first .plans -}}
{{- if gt (int64 $needs) (include "tandem.fit.usable" . | int64) -}}
the tiers {{ join ", " $names }} do not fit together on {{ .nodeName }}: need {{ include "tandem.fit.gb" $needs }}, have {{ include "tandem.fit.gb" (include "tandem.fit.usable" .) }} usable ({{ join "; " $parts }}); lower context or concurrency, or take smaller models
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Divides and rounds up. Takes a list of two. */}}
{{- define "tandem.fit.divided" -}}
{{- $by := int64 (index . 1) -}}
{{- div (add (int64 (index . 0)) (sub $by 1)) $by -}}
{{- end -}}

{{/* What the fullest GPU holds of one variant, in MB: a JSON array of weights, KV cache, activations and runtime. Takes a list: plan, variant. */}}
{{- define "tandem.fit.need" -}}
{{- $plan := index . 0 -}}
{{- $load := index . 1 -}}
{{- $shape := $plan.shape -}}
{{- $tensor := int64 $plan.tensor -}}
{{- $pipeline := int64 $plan.pipeline -}}
{{- $bytes := get (include "tandem.fit.bytesPer128" . | fromJson) $load.precision | int64 -}}
{{- $element := ternary 4 2 (eq $load.precision "fp32") -}}
{{- $layers := include "tandem.fit.divided" (list $shape.layers $pipeline) | int64 -}}
{{- $table := min (mul 2 (int64 $shape.vocabulary) (int64 $shape.hiddenSize)) (int64 $shape.parameters) -}}
{{- $tableBytes := div (mul $table (max $bytes 256)) 128 -}}
{{- $matrices := mul (sub (int64 $shape.parameters) $table) $bytes $layers -}}
{{- $inside := include "tandem.fit.divided" (list $matrices (mul 128 (int64 $shape.layers))) | int64 -}}
{{- $ends := include "tandem.fit.divided" (list $tableBytes (ternary 1 2 (eq $pipeline 1))) | int64 -}}
{{- $weights := include "tandem.fit.divided" (list (add $inside $ends) $tensor) | int64 -}}
{{- $elements := int64 (default 0 $shape.kvRank) -}}
{{- if not $elements -}}
{{- $elements = mul 2 (include "tandem.fit.divided" (list $shape.kvHeads $tensor) | int64) (int64 $shape.headSize) -}}
{{- end -}}
{{- $cache := mul $elements $element $layers (int64 $load.context) (int64 $load.concurrency) -}}
{{- $copies := add 4 (include "tandem.fit.divided" (list 16 $tensor) | int64) -}}
{{- $activations := add (mul 8192 (int64 $shape.hiddenSize) $element $copies) (mul 4 (int64 $load.concurrency) (int64 $shape.vocabulary)) -}}
{{- $parts := list -}}
{{- range list $weights $cache $activations 1610612736 -}}
{{- $parts = append $parts (include "tandem.fit.divided" (list . 1000000) | int64) -}}
{{- end -}}
{{- toJson $parts -}}
{{- end -}}

{{/* Bytes of 128 weights by precision, as a JSON object. */}}
{{- define "tandem.fit.bytesPer128" -}}
{"fp32": 512, "bf16": 256, "fp16": 256, "fp8": 128, "int8": 128, "int4": 68}
{{- end -}}

{{/* What a GPU holds of all variants, in MB. Takes a plan. */}}
{{- define "tandem.fit.sum" -}}
{{- $sum := 0 -}}
{{- range .loads -}}
{{- range include "tandem.fit.need" (list $ .) | fromJsonArray -}}
{{- $sum = add $sum (int64 .) -}}
{{- end -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* MB of a GPU that may be used. Takes a plan. */}}
{{- define "tandem.fit.usable" -}}
{{- div (div (mul (int64 .node.memoryBytes) (int64 .node.usablePercent)) 100) 1000000 -}}
{{- end -}}

{{/* `true` if a replica can be laid out so, and each GPU holds its part; else nothing. Takes a plan. */}}
{{- define "tandem.fit.fits" -}}
{{- if not (include "tandem.fit.layoutProblem" .) -}}
{{- if le (include "tandem.fit.sum" . | int64) (include "tandem.fit.usable" . | int64) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Why the model cannot be cut so; nothing if it can. Takes a plan. */}}
{{- define "tandem.fit.layoutProblem" -}}
{{- $tensor := int64 .tensor -}}
{{- $heads := int64 .shape.heads -}}
{{- $kvHeads := int64 (default 0 .shape.kvHeads) -}}
{{- if gt $tensor (int64 .node.accelerators) -}}
tensor {{ $tensor }} is more than the {{ int64 .node.accelerators }} GPUs of a node
{{- else if mod $heads $tensor -}}
tensor {{ $tensor }} does not divide {{ $heads }} heads
{{- else if and (not (default 0 .shape.kvRank)) (mod (max $kvHeads $tensor) (min $kvHeads $tensor)) -}}
tensor {{ $tensor }} and {{ $kvHeads }} KV heads do not divide each other
{{- else if gt (int64 .pipeline) (int64 .shape.layers) -}}
pipeline {{ int64 .pipeline }} is more than {{ int64 .shape.layers }} layers
{{- end -}}
{{- end -}}

{{/* MB as GB, exactly. */}}
{{- define "tandem.fit.gb" -}}
{{- printf "%d.%03d GB" (div (int64 .) 1000) (mod (int64 .) 1000) -}}
{{- end -}}

{{/* Why a tier does not fit, and what would. Takes a plan. */}}
{{- define "tandem.fit.refusal" -}}
tier {{ .name }} does not fit on {{ .nodeName }}: {{ include "tandem.fit.reason" . }}; what would fit: {{ include "tandem.fit.remedies" . | default "nothing on this type of node" }}
{{- end -}}

{{- define "tandem.fit.reason" -}}
{{- $problem := include "tandem.fit.layoutProblem" . -}}
{{- if $problem -}}
{{- $problem -}}
{{- else -}}
{{- $gpus := mul (int64 .tensor) (int64 .pipeline) -}}
{{- $needs := include "tandem.fit.sum" . | int64 -}}
{{- $has := include "tandem.fit.usable" . | int64 -}}
{{- $parts := list -}}
{{- range .loads -}}
{{- $sizes := list .title -}}
{{- range include "tandem.fit.need" (list $ .) | fromJsonArray -}}
{{- $sizes = append $sizes (include "tandem.fit.gb" .) -}}
{{- end -}}
{{- $parts = append $parts (printf "%s weights %s, KV cache %s, activations %s, runtime %s" (index $sizes 0) (index $sizes 1) (index $sizes 2) (index $sizes 3) (index $sizes 4)) -}}
{{- end -}}
needs {{ include "tandem.fit.gb" (mul $needs $gpus) }}, has {{ include "tandem.fit.gb" (mul $has $gpus) }} ({{ $gpus }} × {{ include "tandem.fit.gb" $needs }} on {{ $gpus }} × {{ include "tandem.fit.gb" $has }} usable: {{ join "; " $parts }})
{{- end -}}
{{- end -}}

{{/* The changes that would each make a tier fit, the smallest of every kind. Takes a plan. */}}
{{- define "tandem.fit.remedies" -}}
{{- $found := list -}}
{{- range list "oneVariant" "precision" "sequences" "context" "tensor" "pipeline" -}}
{{- $found = append $found (include (printf "tandem.fit.%s" .) $) -}}
{{- end -}}
{{- without $found "" | join ", or " -}}
{{- end -}}

{{- define "tandem.fit.oneVariant" -}}
{{- if gt (len .loads) 1 -}}
{{- range .loads -}}
{{- if include "tandem.fit.fits" (set (deepCopy $) "loads" (list .)) -}}
only the variant {{ .name }}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tandem.fit.precision" -}}
{{- $words := "" -}}
{{- range list "int8" "int4" -}}
{{- if include "tandem.fit.fits" (include "tandem.fit.lowered" (list $ .) | fromJson) -}}
{{- $words = printf "%s weights" . -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- if not $words -}}
{{- range list "int8" "int4" -}}
{{- $fewer := include "tandem.fit.sequences" (include "tandem.fit.lowered" (list $ .) | fromJson) -}}
{{- if $fewer -}}
{{- $words = printf "%s weights with %s" . $fewer -}}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $words -}}
{{- end -}}

{{/* A plan as JSON, with no more bits in any variant than a precision has. Takes a list: plan, precision. */}}
{{- define "tandem.fit.lowered" -}}
{{- $bytes := include "tandem.fit.bytesPer128" . | fromJson -}}
{{- $target := index . 1 -}}
{{- $plan := deepCopy (index . 0) -}}
{{- range $plan.loads -}}
{{- if gt (get $bytes .precision) (get $bytes $target) -}}
{{- $_ := set . "precision" $target -}}
{{- end -}}
{{- end -}}
{{- toJson $plan -}}
{{- end -}}

{{- define "tandem.fit.sequences" -}}
{{- include "tandem.fit.halved" (list . "concurrency" 1) -}}
{{- end -}}

{{- define "tandem.fit.context" -}}
{{- include "tandem.fit.halved" (list . "context" 512) -}}
{{- end -}}

{{/* Half of the largest, a fourth …, until the plan fits. Takes a list: plan, key of a variant, the least that is tried. */}}
{{- define "tandem.fit.halved" -}}
{{- $plan := index . 0 -}}
{{- $key := index . 1 -}}
{{- $least := index . 2 -}}
{{- $most := 0 -}}
{{- range $plan.loads -}}
{{- $most = max $most (int64 (get . $key)) -}}
{{- end -}}
{{- range until 64 -}}
{{- $most = div $most 2 -}}
{{- if lt $most (int64 $least) -}}{{- break -}}{{- end -}}
{{- $changed := deepCopy $plan -}}
{{- range $changed.loads -}}
{{- $_ := set . $key (min $most (int64 (get . $key))) -}}
{{- end -}}
{{- if include "tandem.fit.fits" $changed -}}
a {{ $key }} of at most {{ $most }}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tandem.fit.tensor" -}}
{{- $tensor := 1 -}}
{{- range until 8 -}}
{{- if include "tandem.fit.fits" (set (deepCopy $) "tensor" $tensor) -}}
tensor {{ $tensor }}
{{- break -}}
{{- end -}}
{{- $tensor = mul $tensor 2 -}}
{{- end -}}
{{- end -}}

{{- define "tandem.fit.pipeline" -}}
{{- $tensor := 1 -}}
{{- $widest := 1 -}}
{{- range until 8 -}}
{{- if not (include "tandem.fit.layoutProblem" (merge (dict "tensor" $tensor "pipeline" 1) $)) -}}
{{- $widest = $tensor -}}
{{- end -}}
{{- $tensor = mul $tensor 2 -}}
{{- end -}}
{{- $start := add 1 (int64 .pipeline) -}}
{{- range untilStep (int $start) 17 1 -}}
{{- if include "tandem.fit.fits" (merge (dict "tensor" $widest "pipeline" .) $) -}}
tensor {{ $widest }} with pipeline {{ . }}
{{- break -}}
{{- end -}}
{{- end -}}
{{- end -}}
