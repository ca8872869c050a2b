"""One tenant with very many usage records: what its pages, its API and the operator wait for."""
