# What devenv takes from git-hooks.nix: modules that nothing here uses.
{
  outputs = { self }: { };
}
