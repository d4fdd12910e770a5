"""Print how many tokens of a text stay where they are when it is read once more."""

import cvfp_opt

model = cvfp_opt.load("winner")
text = "A context is what a network makes of all that it has read so far."
for passes in (1, 2, 3, 4):
    before, after = model.contexts(text, passes=passes), model.contexts(text, passes=passes + 1)
    moved = ((after - before) ** 2).mean(dim=1) / (after**2).mean()  # (T,), scale-free
    print(f"pass {passes + 1}: {(moved < 0.1).float().mean():.0%} of {len(moved)} tokens stay")
