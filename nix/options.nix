# The spec's JSON Schema (schema.json) as options of the module system: `portkeep schema` is the one description of an app,
# and each of its fields becomes an option here. A type that cannot be expressed is an error, not a gap.
{ lib }:
let
  inherit (lib) mkOption types;

  schema = lib.importJSON ./schema.json;

  resolve =
    node:
    if node ? "$ref" then
      schema."$defs".${lib.removePrefix "#/$defs/" node."$ref"} // removeAttrs node [ "$ref" ]
    else
      node;

  unknown =
    node: throw "nix/options.nix cannot express this part of the schema: ${builtins.toJSON node}";

  isNull = node: node == { type = "null"; };

  typeOf =
    reference:
    let
      node = resolve reference;
    in
    if node ? anyOf then
      let
        alternatives = map typeOf (builtins.filter (one: !isNull one) node.anyOf);
        type =
          if builtins.length alternatives == 1 then builtins.head alternatives else types.oneOf alternatives;
      in
      if builtins.any isNull node.anyOf then types.nullOr type else type
    else if node ? oneOf then
      types.enum (map (one: one.const or (unknown node)) node.oneOf)
    else if builtins.isList (node.type or null) then
      let
        alternatives = map (type: typeOf (node // { inherit type; })) (lib.remove "null" node.type);
        type =
          if builtins.length alternatives == 1 then builtins.head alternatives else types.oneOf alternatives;
      in
      if builtins.elem "null" node.type then types.nullOr type else type
    else
      typed.${node.type or (unknown node)} or (unknown node) node;

  typed = {
    boolean = _: types.bool;

    string = node: if node ? pattern then types.strMatching (expression node.pattern) else types.str;

    integer =
      node:
      types.ints.between (node.minimum or 0) (
        if node.format or "" == "uint32" then 4294967295 else 9223372036854775807
      );

    array =
      node: (if node.minItems or 0 > 0 then types.nonEmptyListOf else types.listOf) (typeOf node.items);

    object =
      node:
      if node ? properties then
        types.submodule { options = optionsOf node; }
      else
        types.attrsOf (typeOf (node.additionalProperties or (unknown node)));
  };

  # JSON Schema writes regular expressions as JavaScript does, Nix as POSIX does, and Nix always matches the whole text.
  expression =
    pattern:
    lib.pipe pattern [
      (lib.removePrefix "^")
      (lib.removeSuffix "$")
      (builtins.replaceStrings [ "\\s" ] [ "[[:space:]]" ])
    ];

  allowsNull =
    reference:
    let
      node = resolve reference;
    in
    builtins.any isNull (node.anyOf or [ ])
    || (builtins.isList (node.type or null) && builtins.elem "null" node.type);

  optionsOf =
    node:
    lib.mapAttrs (
      field: property:
      mkOption (
        {
          type = typeOf property;
          description = (resolve property).description or "See `portkeep schema`.";
        }
        // (
          if (resolve property) ? properties then
            # Its fields have the defaults.
            { default = { }; }
          else if property ? default then
            { inherit (property) default; }
          else if allowsNull property then
            { default = null; }
          else
            { }
        )
      )
    ) node.properties;
in
{
  options = optionsOf schema;
  fields = builtins.attrNames schema.properties;
}
