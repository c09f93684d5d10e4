// Playing the picked sample: one sound at a time.
/** @import {App} from "./app.js" */

export class Player {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {{modality: string, sample: string, audio: HTMLAudioElement, link: string} | null} */
    this.playing = null;
  }

  /** Start a modality's sound; the same call again stops it. @param {string} modality */
  toggle(modality) {
    const again = this.playing?.modality === modality;
    this.stop();
    const file = this.app.data.soundOf(modality);
    if (again || !file) return;
    const link = URL.createObjectURL(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (file)], { type: "audio/wav" }));
    const audio = new Audio(link);
    const playing = { modality, sample: this.app.get("picked"), audio, link };
    this.playing = playing;
    const over = () => {
      if (this.playing === playing) this.stop();
    };
    audio.addEventListener("ended", over);
    audio.play().catch((error) => {
      over();
      if (error.name !== "AbortError") this.app.say(`the sound cannot be played: ${error.message}`);
    });
    this.app.refresh();
  }

  stop() {
    if (!this.playing) return;
    this.playing.audio.pause();
    URL.revokeObjectURL(this.playing.link);
    this.playing = null;
    this.app.refresh();
  }

  /** Another sample was picked: its sound is not this one. */
  update() {
    if (this.playing && this.playing.sample !== this.app.get("picked")) this.stop();
  }
}
