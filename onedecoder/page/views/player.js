/* Notes as sound: a struck string, put together from a few overtones that fade the faster the higher they are.
 *
 * Nothing is loaded. Notes are handed to Web Audio a moment before they are due, so that a busy page does not stutter. */

const AHEAD = 0.4; // seconds that are handed over at once
const OVERTONES = [1, 0.55, 0.32, 0.2, 0.13, 0.08, 0.05, 0.03];
const RELEASE = 0.12; // seconds in which the damper silences a string

/** Returns { play, stop, time, isPlaying }. Times are seconds of the piece; `ended()` is called after the last note. */
export function player(ended) {
  let audio = null, wave = null, out = null;
  let notes = [], next = 0, first = 0, length = 0, began = 0, timer = null;

  function prepare() {
    if (audio) return;
    audio = new AudioContext();
    wave = audio.createPeriodicWave(new Float32Array(OVERTONES.length + 1), new Float32Array([0, ...OVERTONES]));
    const soft = audio.createDynamicsCompressor(); // many notes at once are not to crackle
    soft.connect(audio.destination);
    out = soft;
  }

  const time = () => (timer ? Math.max(0, Math.min(length, audio.currentTime - began)) : 0);

  function play(piece, from = 0) {
    stop();
    prepare();
    audio.resume();
    notes = piece.filter(({ end }) => end > from).sort((a, b) => a.start - b.start);
    length = notes.reduce((last, { end }) => Math.max(last, end), from);
    next = 0;
    first = from;
    began = audio.currentTime + 0.08 - from;
    timer = setInterval(feed, 80);
    feed();
  }

  function feed() {
    const now = audio.currentTime - began;
    for (; next < notes.length && notes[next].start < now + AHEAD; next++) strike(notes[next]);
    if (now > length + RELEASE) {
      stop();
      ended();
    }
  }

  function strike({ pitch, start, end, velocity }) {
    const at = Math.max(audio.currentTime, began + Math.max(start, first));
    const until = Math.max(at + 0.05, began + end);
    const loudness = 0.22 * (velocity / 127) ** 1.6;
    const fading = 3.2 * 2 ** ((60 - pitch) / 24); // seconds: low strings ring longer
    const tone = audio.createOscillator();
    tone.setPeriodicWave(wave);
    tone.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
    const filter = audio.createBiquadFilter();
    filter.type = "lowpass";
    filter.frequency.setValueAtTime(Math.min(12000, tone.frequency.value * (3 + velocity / 16)), at);
    filter.frequency.setTargetAtTime(tone.frequency.value * 1.5, at, fading / 3);
    const volume = audio.createGain();
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(loudness, at + 0.006);
    volume.gain.setTargetAtTime(0, at + 0.006, fading / 2);
    volume.gain.setTargetAtTime(0, until, RELEASE / 4);
    tone.connect(filter).connect(volume).connect(out);
    tone.start(at);
    tone.stop(until + RELEASE);
  }

  function stop() {
    if (!timer) return;
    clearInterval(timer);
    timer = null;
    out.disconnect();
    out = audio.createDynamicsCompressor(); // what was handed over already goes into the old one, unheard
    out.connect(audio.destination);
  }

  return { play, stop, time, isPlaying: () => timer !== null };
}
