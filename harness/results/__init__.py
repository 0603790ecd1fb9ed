"""Run folders on disk: their tables, manifests, shards and pools."""
