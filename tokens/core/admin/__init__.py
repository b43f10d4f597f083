"""The operators' pages of every credential: lists, forms, verbs, timelines, the overview, who may do what."""
