# Renders the units of an app. The text of units is made in one place, by `portkeep units`; nothing else in Nix writes any.
#
# Needs only these three, so that it can be tried without nixpkgs.
{
  runCommand,
  writeText,
  portkeep,
}:
{
  # The contents of portkeep.json (`portkeep schema`); the build refuses unknown fields.
  spec,
  # "system" or "user"; null renders both.
  manager ? null,
  # The expected files, relative to the unit directory; null accepts any.
  expected ? null,
}:
let
  inherit (spec) name;

  # A relative path would start at the spec's directory, which is in the Nix store: that is never meant.
  relative = builtins.filter (path: path != null && builtins.match "/.*" (toString path) == null) (
    # A program without a slash is looked up in PATH, and stays one.
    builtins.filter (program: builtins.match ".*/.*" program != null) (
      map builtins.head (builtins.filter (words: words != [ ]) [ spec.exec (spec.release or [ ]) ])
    )
    ++ [
      (spec.watch or null)
      (spec.workingDirectory or null)
      (spec.filesFrom or null)
    ]
    ++ (spec.environmentFiles or [ ])
    ++ builtins.attrValues (spec.credentials or { })
  );

  specFile = writeText "portkeep-${name}.json" (builtins.toJSON spec);
in
if relative != [ ] then
  throw "portkeep app ${name}: ${toString relative}: paths must be absolute here; write \"\${package}/bin/…\" or \"/etc/…\""
else if (spec.files or [ ]) != [ ] && (spec.filesFrom or null) == null then
  throw "portkeep app ${name}: files: name the directory that has them as filesFrom, like \"\${package}/share/${name}\""
else
  runCommand "portkeep-units-${name}"
    {
      passthru = { inherit spec; };
      expected =
        if expected == null then
          ""
        else
          builtins.concatStringsSep "\n" (builtins.sort builtins.lessThan expected);
      preferLocalBuild = true;
    }
    ''
      ${portkeep}/bin/portkeep units --spec ${specFile} --out $out \
        --helper ${portkeep}/bin/portkeep ${if manager == null then "" else "--manager ${manager}"}
      if [ -n "$expected" ]; then
        rendered=$(cd $out/lib/systemd/${toString manager} && find . -type f | sed 's|^\./||' | LC_ALL=C sort)
        if [ "$rendered" != "$expected" ]; then
          echo "nix/unit-names.nix is behind the templates: it expects"
          echo "$expected"
          echo "but these were rendered:"
          echo "$rendered"
          exit 1
        fi
      fi
    ''
