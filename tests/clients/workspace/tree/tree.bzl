"""An action whose output is a folder of which Bazel does not know the contents beforehand."""

def _folder(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [folder],
        command = """
            mkdir -p "$1/deep/deeper" "$1/empty"
            echo top > "$1/top.txt"
            echo deep > "$1/deep/deeper/deep.txt"
            printf '#!/bin/sh\necho ran\n' > "$1/tool.sh"
            chmod +x "$1/tool.sh"
            ln -s top.txt "$1/link.txt"
        """,
        arguments = [folder.path],
    )
    return [DefaultInfo(files = depset([folder]))]

folder = rule(implementation = _folder)
