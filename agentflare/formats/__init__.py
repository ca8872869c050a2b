"""How the admin writes moments: Django takes formats from a package named after the language."""
