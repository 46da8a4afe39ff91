"""A figure of the paper: weights before and after the head over strength, with its two spikes.

With thresholds of 0.2 in both layers, from weights of one, the first layer loses features weaker
than 0.2 and the last one those weaker than 0.4: there the published figure has its spikes. Every
figure of the gallery takes numbers of your own and keeps its data.

    python examples/paper_figure.py [--quick] [--plot FILE] [--out DIR]
"""

import argparse

import jax

import projhead_theory as pt


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="fewer strengths")
    options.add_argument("--plot", metavar="FILE", help="save the picture")
    options.add_argument("--out", metavar="DIR", help="write the picture with its data")
    arguments = options.parse_args()
    jax.config.update("jax_enable_x64", True)

    drawing = pt.gallery.make("paper-strength", points=12 if arguments.quick else 24)
    fixed = drawing.data.sel(thresholds="fixed")
    for layer, edge in zip(("before", "after"), fixed.reach.values, strict=True):
        print(f"{layer} the head features weaker than {edge:.2f} are absent")
    print("strength, and the trained weights before and after the head:")
    for strength in fixed.strength.values[::3]:
        before, after = (float(x) for x in fixed.measured.sel(strength=strength))
        print(f"{strength:.2f}  {before:.3f}  {after:.3f}")
    print(drawing.command)
    if arguments.plot:
        pt.figures.save(drawing.plot(width="double"), arguments.plot)
    if arguments.out:
        drawing.save(arguments.out, formats=("pdf", "svg"))


if __name__ == "__main__":
    main()
