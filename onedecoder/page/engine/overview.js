/** A picture [length, length] of attention in `size` × `size` cells at most, each as strong as the strongest in it. */
export function overviewOf(weights, length, size) {
  const small = new Float32Array(size * size);
  for (let row = 0; row < length; row++) {
    const y = Math.floor((row * size) / length);
    for (let key = 0; key < length; key++) {
      const cell = y * size + Math.floor((key * size) / length), weight = weights[row * length + key];
      if (weight > small[cell]) small[cell] = weight;
    }
  }
  return fill(small, length, size);
}

/** Where the picture is larger than the line, every cell takes the value of the token that it belongs to. */
function fill(small, length, size) {
  if (length >= size) return small;
  const full = new Float32Array(size * size), place = (i) => Math.floor((Math.floor((i * length) / size) * size) / length);
  const first = Array.from({ length: size }, (_, i) => place(i));
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) full[y * size + x] = small[first[y] * size + first[x]];
  return full;
}
