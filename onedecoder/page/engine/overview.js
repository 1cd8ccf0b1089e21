/**
 * A picture [length, length] of attention in `size` × `size` cells, each as strong as the strongest weight in it. Of
 * a line shorter than that, a weight fills several cells.
 */
export function overviewOf(weights, length, size) {
  const small = new Float32Array(size * size);
  const from = Array.from({ length: size }, (_, cell) => Math.floor((cell * length) / size));
  const to = Array.from({ length: size }, (_, cell) => Math.ceil(((cell + 1) * length) / size));
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let most = 0;
      for (let row = from[y]; row < to[y]; row++) {
        for (let key = from[x]; key < to[x]; key++) most = Math.max(most, weights[row * length + key]);
      }
      small[y * size + x] = most;
    }
  }
  return small;
}
