_pkgs: { }
