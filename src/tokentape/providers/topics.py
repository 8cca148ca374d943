"""What the simulated model knows: a few short pieces of plain text, written for this project."""

from __future__ import annotations

from typing import Final, NamedTuple


class Topic(NamedTuple):
    """A piece in Markdown: sentences, points of a list, and a block (a table or code) that is not cut."""

    title: str
    sentences: tuple[str, ...]
    points: tuple[str, ...]
    block: str


TOPICS: Final = (
    Topic(
        "How tides work",
        (
            "The sea rises and falls because the Moon pulls harder on the near side of the Earth than on the far side.",
            "What matters is the difference between the two pulls, not their strength.",
            "The Sun joins in with a little less than half of the effect.",
            "When both stand in one line, the range is greatest; sailors call that a spring tide.",
            "A week later they pull at right angles, and the neap tide barely wets the upper beach.",
            "Coasts and bays then shape the wave, which is why one harbour has eight metres and the next has two.",
        ),
        (
            "**Spring tide**: Sun and Moon in line, the widest range.",
            "**Neap tide**: Sun and Moon at right angles, the smallest.",
            "**Slack water**: the short pause before the stream turns.",
            "**Datum**: the level from which a chart counts its depths.",
        ),
        "| Place | Range | Why |\n"
        "|---|---|---|\n"
        "| Bay of Fundy | 16 m | resonance in a long funnel |\n"
        "| Saint-Malo | 12 m | a narrowing channel |\n"
        "| Malta | 0.2 m | a nearly closed sea |",
    ),
    Topic(
        "Baking bread with a starter",
        (
            "A starter is flour and water in which wild yeast and bacteria have settled down together.",
            "The yeast lifts the dough, and the bacteria make the acids that give it taste.",
            "Time does most of the work, so a cool kitchen is a help rather than a hindrance.",
            "Fold the dough a few times during the first hours instead of kneading it hard.",
            "It is ready for the oven when a dent from your finger fills slowly, and not all the way.",
            "Steam in the first ten minutes keeps the crust soft for long enough to let the loaf open. 🍞",
        ),
        (
            "Feed the starter in the evening: equal parts of flour and water.",
            "Mix in the morning, and let the dough rest for half an hour before the salt goes in.",
            "Fold four times, once every thirty minutes.",
            "Shape it, and leave it in the refrigerator overnight.",
            "Bake at 240 °C with steam, then at 210 °C without.",
        ),
        "| Ingredient | Weight | Share |\n"
        "|---|---|---|\n"
        "| flour | 500 g | 100 % |\n"
        "| water | 360 g | 72 % |\n"
        "| starter | 100 g | 20 % |\n"
        "| salt | 10 g | 2 % |",
    ),
    Topic(
        "Searching a sorted list",
        (
            "Binary search keeps two bounds and asks one question: is the middle too small?",
            "Each answer throws away half of what is left, so a million entries need only twenty looks.",
            "Its bugs live at the edges: an empty list, a single entry, a value beyond the last one.",
            "It helps to write down what is true of both bounds before the loop, and to keep it true inside.",
            "Half-open ranges make that easier, because the length is one subtraction and nothing needs a plus one.",
        ),
        (
            "Every entry before `low` is smaller than the target.",
            "No entry from `high` onwards is smaller than the target.",
            "When the two meet, the place has been found.",
        ),
        "```python\n"
        "def first_not_less(items, target):\n"
        "    low, high = 0, len(items)\n"
        "    while low < high:\n"
        "        middle = (low + high) // 2\n"
        "        if items[middle] < target:\n"
        "            low = middle + 1\n"
        "        else:\n"
        "            high = middle\n"
        "    return low\n"
        "```",
    ),
    Topic(
        "A short walk through Kyoto",
        (
            "Kyoto (京都) was the capital for more than a thousand years, and the street plan still shows it.",
            "Begin early at Fushimi Inari, where the gates climb the hill in long orange rows. ⛩️",
            "The word for the gates is 鳥居, torii, which is written with the signs for a bird and for a dwelling.",
            "Around noon the shade of the bamboo at Arashiyama (嵐山) is worth the ride across town.",
            "In the evening the lanterns along Pontochō come on one by one, and the river carries their light. 🏮",
        ),
        (
            "おはようございます – good morning.",
            "ありがとうございます – thank you.",
            "いただきます – before a meal.",
            "また明日 – see you tomorrow.",
        ),
        "| Place | Name | Best time |\n"
        "|---|---|---|\n"
        "| Fushimi Inari | 伏見稲荷大社 | before seven |\n"
        "| Golden Pavilion | 金閣寺 | a grey day |\n"
        "| Nishiki market | 錦市場 | late morning |",
    ),
    Topic(
        "Why bicycles stay up",
        (
            "A moving bicycle steers itself into a fall, and so brings its wheels back under its weight.",
            "For a long time people gave the credit to the spinning wheels, or to the trail of the front fork.",
            "Experiments with odd machines showed that neither of the two is needed by itself.",
            "What counts is that leaning to one side turns the handlebars to the same side, soon enough.",
            "Riders add small corrections without noticing; at walking pace they become large, and we wobble. 🚲",
        ),
        (
            "Lean comes first, steering follows.",
            "More speed means smaller corrections.",
            "To turn left, a rider first steers a touch to the right.",
        ),
        "| Speed | Steering | Feels like |\n"
        "|---|---|---|\n"
        "| 5 km/h | large, constant | work |\n"
        "| 15 km/h | small | nothing |\n"
        "| 40 km/h | leaning only | flying |",
    ),
    Topic(
        "Waiting politely in code",
        (
            "A program that talks to others over a network spends most of its life waiting.",
            "The question is not whether a call will fail one day, but what the next line does when it has.",
            "Trying again at once turns a short outage into a long one, because everybody does the same.",
            "So wait a little longer after each failure, and add some chance, so that the crowd spreads out.",
            "Give up at a moment that the person who waits would still call reasonable.",
        ),
        (
            "Retry only what is safe to repeat.",
            "Honour `Retry-After`, within limits.",
            "Bound the number of attempts, and the time they take together.",
            "Say in the log that it was a retry. 📝",
        ),
        "```typescript\n"
        "export async function patiently<T>(work: () => Promise<T>, attempts = 5): Promise<T> {\n"
        "  for (let attempt = 1; ; attempt++) {\n"
        "    try {\n"
        "      return await work();\n"
        "    } catch (error) {\n"
        "      if (attempt === attempts) throw error;\n"
        "      const window = Math.min(30_000, 250 * 2 ** attempt);\n"
        "      await new Promise((resume) => setTimeout(resume, Math.random() * window));\n"
        "    }\n"
        "  }\n"
        "}\n"
        "```",
    ),
    Topic(
        "What octopuses can do",
        (
            "An octopus has about as many nerve cells as a dog, and most of them sit in its arms.",
            "Each arm tastes what it touches and decides a good deal by itself.",
            "The skin changes colour within a fraction of a second, although the eyes see no colour at all.",
            "Three hearts pump blue blood; one of them stops while the animal swims, so it prefers to crawl.",
            "In aquariums they have opened jars, carried shells as armour, and squirted water at lamps. 🐙",
        ),
        (
            "Eight arms, some two thousand suckers.",
            "A beak is the only hard part, so a gap the size of the beak is a door.",
            "Most live for one or two years only.",
        ),
        "| Trait | Octopus | Us |\n"
        "|---|---|---|\n"
        "| hearts | 3 | 1 |\n"
        "| blood | blue, copper | red, iron |\n"
        "| nerve cells | 500 million | 86 billion |",
    ),
    Topic(
        "Keeping a garden in a dry summer",
        (
            "Water seldom and well, early in the day, and at the roots rather than on the leaves.",
            "A layer of straw or grass keeps the soil cool, and halves what evaporates.",
            "Plants that get a little every evening grow shallow roots and suffer first.",
            "Herbs from the south – thyme, sage, rosemary – taste better when they are left thirsty. 🌿",
            "A rain barrel under one gutter fills in a single good shower: señal de que ya llegó el verano.",
        ),
        (
            "Loosen the ground after rain, so that the next rain gets in.",
            "Leave the lawn long; it shades itself.",
            "Plant in autumn, and let the winter do the watering.",
        ),
        "| Bed | Litres per week | When |\n"
        "|---|---|---|\n"
        "| tomatoes | 20 | every third morning |\n"
        "| beans | 12 | when in flower |\n"
        "| herbs | 2 | if they droop |",
    ),
)

THOUGHTS: Final = (
    "The question leaves some room, so it is worth deciding what would help most.",
    "A short overview first, then one or two things in depth.",
    "An example would make this easier to follow.",
    "A table may be clearer than a paragraph for the numbers.",
    "Is there anything here that depends on where the reader lives?",
    "It is better to leave out what cannot be said with confidence.",
    "The order matters: cause first, then effect.",
    "One point could be misunderstood, so let me put it more plainly.",
    "That should cover it; now for the wording.",
)

OPENINGS: Final = (
    "You asked: “{prompt}”.",
    "About “{prompt}”:",
    "Here is what there is to say on “{prompt}”.",
    "“{prompt}” – gladly.",
)

FILLERS: Final = (
    " There is more to say, of course.",
    " The rest is practice.",
    " Small steps are fine.",
    " None of this is hard to try at home.",
    " A second look often pays.",
    " It all hangs together.",
)
"""Sentences that fit anywhere, to fill what is left before the end."""

CLOSERS: Final = (" ✓", " Done.", " All done.", " That is all.", " And that is all.", " That is enough for now.")
"""By their length: of one token, of two, and so on."""
