/** Texts for the tests: what models write, and what they write to do harm. */

export const ANSWER = `# Tides

The moon pulls; **the sea** follows, *twice* a day. See [NOAA](https://tides.example/now) or \`tide --now\`.
A second line of it
- with a list at once
- and _another_ item
  with a second line

  and a second paragraph

1. One
2. Two
   - nested **bold**
   - deeper
     \`\`\`python
     print("in a list")
     \`\`\`

> A quote
> of two lines

| Place | Range | |
|:------|------:|---|
| Fundy | 16 m | \`a\` |
| Baltic | 0.1 m | b |

After the table.

\`\`\`ts
const a = "\`\`";

export const b = 2;
\`\`\`

~~~
tildes
\`\`\`
~~~

Setext
======

---

<div onclick="alert(1)">raw</div>

![picture](https://evil.example/a.png) and [ref][1] with a**bc**d, 2 * 3 * 4, snake_case_word.

[1]: https://ref.example/

- [ ] to do
- [x] done

The end`;

export const HOSTILE = ["*", "[", "![", "`", "<", "_", "a*", "*a ", "[a](", "~~a", "> ", "- ", "|", "<a ", "\\", "&#0;", "**a_b`", "#", "1. "];
