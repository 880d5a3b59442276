"""``lazyrich explore``: sliders in the browser, answered by the simulators."""

import threading
import webbrowser

import click


@click.command("explore", short_help="Move sliders in the browser and watch a network grok.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes any free port.")
@click.option("--no-browser", is_flag=True, help="Print the address and open no browser.")
def command(port: int, no_browser: bool) -> None:
    """Open a page with sliders: see the curves of a network at once as you change its scales.

    Use it to get a feeling for lazy, rich and grokking, and to find settings worth a longer run.
    The page shows the losses of the network and of its linearised twin, the forecast, the terms of
    the loss, the phase diagram and the closed forms with your numbers put in. It copies what it
    shows as Python or as a command. It works offline; this machine alone can reach it. Ctrl-C ends
    it.

    \b
    Examples:
      lazyrich explore
      lazyrich explore --port 8765 --no-browser
    """
    from lazyrich.explore.formulas import mathml

    mathml("x")  # the extra is there, or one line says how to install it
    from lazyrich.explore.memory import give_back
    from lazyrich.explore.server import Server
    from lazyrich.simulate.threads import threads

    give_back()
    server = Server(port)
    click.echo(f"lazyrich explore: {server.url} (Ctrl-C ends it)")
    if not no_browser:
        threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
    try:
        with threads(1):  # small matrices gain nothing from more, and wait where cores are busy
            server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        click.echo("stopped")
    finally:
        server.server_close()
