"""Routers from YAML: loading one, and the configs that come with the package."""
