/* A token's name where there is little room for it: of a music event what it says, without the words. */

const SHORT = [
  [/^note-on (.+)$/, (_, pitch) => pitch],
  [/^note-off (.+)$/, (_, pitch) => `${pitch} off`],
  [/^velocity (\d+)$/, (_, velocity) => `v${velocity}`],
  [/^length (\d+) ms$/, (_, length) => `${length / 1000} s`],
  [/^wait (\d+) ms$/, (_, wait) => `+${wait / 1000}`],
  [/^<\|(\d+:[\d.]+)\|>$/, (_, time) => time],
];

/** "note-on E3" -> "E3", "velocity 71" -> "v71", "length 800 ms" -> "0.8 s", "wait 400 ms" -> "+0.4"; others stay. */
export function onAxis(name) {
  const [pattern, words] = SHORT.find(([each]) => each.test(name)) ?? [];
  return pattern ? name.replace(pattern, words) : name;
}
