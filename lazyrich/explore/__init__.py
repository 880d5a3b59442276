"""``lazyrich explore``: a page with sliders, answered by the simulators while you move them.

- ``settings``: what can be set for each model, its bounds, and the presets.
- ``two_layer``, ``diagonal``: the two models. Each turns settings into frames (see ``answer``).
- ``forecasts``, ``formulas``, ``phases``, ``chart``, ``call``: the parts of a frame.
- ``memory``: keeps the memory of many moves small.
- ``server``: the local web server; ``page.html``, ``page.css``, ``page.js`` and ``chart.js`` are
  what the browser gets. They load nothing else.

The page computes no number: what it draws is what ``simulate.train`` returned.
"""
