// The voice input: a file, a recording, or a voice that is followed while it speaks.
// Gradio runs this once with `element`; what is sent is never written to a disk.

const PART = 2048; // samples that the recorder hands over at once
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  part = new Float32Array(${PART}); filled = 0;
  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.part[this.filled++] = sample;
      if (this.filled === ${PART}) { this.port.postMessage(this.part.slice()); this.filled = 0; }
    }
    return true;
  }
})`;

const input = element.querySelector("input");
const drop = element.querySelector(".drop");
const record = element.querySelector(".record");
const live = element.querySelector(".live");
const meter = element.querySelector("meter");
const status = element.querySelector(".status");
const limits = drop.dataset;
const answer = () => document.querySelector("#answer .said"); // it may come after this
let ear = null; // what listens at present
let asking = null; // what the latest answer can be given up by, while it is waited for
let played = ""; // the address, in this browser, of the recording that was answered

const say = (text) => { status.textContent = text; };

const joined = (parts) => parts.flatMap((part) => Array.from(part));

function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  word(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); word(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  word(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) =>
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

async function ask(path, recording, show) {
  asking?.abort();
  const own = new AbortController();
  asking = own;
  answer().setAttribute("aria-busy", "true");
  try {
    const response = await fetch(path, {
      method: "POST", body: recording, signal: own.signal,
      headers: { "content-type": "application/octet-stream" },
    });
    if (response.headers.get("content-type").startsWith("text/html")) {
      show(await response.text());
    } else {
      const { title, detail } = await response.json();
      refuse(`${title}. ${detail}`);
    }
  } catch {
    if (!own.signal.aborted) refuse("The service can't be reached. Does it still run?");
  }
  if (asking === own) {
    asking = null;
    answer().removeAttribute("aria-busy");
  }
}

function refuse(why) {
  answer().innerHTML = '<p class="problem" role="alert"><b>No answer.</b> </p>';
  answer().firstChild.append(why);
}

function show(html, name, recording) {
  answer().innerHTML = html; // the service's own, which holds nothing that was sent
  answer().querySelector(".facts")?.prepend(`${name}, `);
  URL.revokeObjectURL(played);
  const player = answer().querySelector(".replay");
  if (player) player.src = played = URL.createObjectURL(recording);
}

function hear(name, recording) {
  if (ear?.button === live) close();
  if (recording.size > Number(limits.bytes)) {
    say(`${name} is too large: at most ${Math.floor(limits.bytes / 2 ** 20)} MB.`);
    return;
  }
  say(`${name} was sent.`);
  ask("page/hear", recording, (html) => show(html, name, recording));
}

async function open(button) {
  if (!navigator.mediaDevices) {
    throw new Error("A browser lends its microphone only to this computer's own pages, or by https.");
  }
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  const module = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
  await context.audioWorklet.addModule(module);
  URL.revokeObjectURL(module);
  const tap = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
  context.createMediaStreamSource(stream).connect(tap);
  const heard = { button, stream, context, parts: [], timer: null, longest: Infinity };
  tap.port.onmessage = ({ data }) => {
    heard.parts.push(data);
    if (heard.parts.length > heard.longest) heard.parts.shift();
    meter.value = Math.max(...data.map(Math.abs));
  };
  return heard;
}

function close() {
  clearTimeout(ear.timer);
  clearInterval(ear.timer);
  ear.stream.getTracks().forEach((track) => track.stop());
  ear.context.close();
  ear.button.setAttribute("aria-pressed", "false");
  ear.button.textContent = ear.button.dataset.start;
  meter.value = 0;
  const closed = ear;
  ear = null;
  return closed;
}

async function begin(button) {
  record.disabled = live.disabled = true; // or both would open it, and one never close it
  try {
    ear = await open(button);
    button.setAttribute("aria-pressed", "true");
    button.textContent = button.dataset.stop;
  } catch (error) {
    const known = { NotAllowedError: "The microphone was not allowed.",
                    NotFoundError: "No microphone was found." };
    say(known[error.name] ?? error.message);
  }
  record.disabled = live.disabled = false;
  return ear !== null;
}

function finishRecording() {
  const { parts, context } = close();
  const samples = joined(parts);
  const start = samples.findIndex((sample) => sample !== 0); // a device gives zeros until it hears
  if (start >= 0) hear("your recording", wav(samples.slice(start), context.sampleRate));
  else say("Nothing was recorded.");
}

record.onclick = async () => {
  if (ear?.button === record) return finishRecording();
  if (ear) close();
  if (!(await begin(record))) return;
  ear.timer = setTimeout(finishRecording, 1000 * limits.seconds);
  say(`Recording, up to ${limits.seconds} s. Press again to stop.`);
};

live.onclick = async () => {
  if (ear?.button === live) {
    close();
    return say("Stopped.");
  }
  if (ear) close();
  if (!(await begin(live))) return;
  const { parts, context } = ear;
  ear.longest = Math.ceil((limits.liveSeconds * context.sampleRate) / PART);
  ear.timer = setInterval(() => {
    if (asking || !parts.length) return;
    ask("page/listen", wav(joined(parts), context.sampleRate), (html) => { answer().innerHTML = html; });
  }, 1000 * limits.everySeconds);
  say("Speak. The answer follows every second.");
};

input.onchange = () => {
  const [file] = input.files;
  if (file) hear(file.name, file);
  input.value = ""; // so that the same file may be chosen once more
};

for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    const [file] = (name === "drop" && event.dataTransfer.files) || [];
    if (file) hear(file.name, file);
  });
}

for (const button of element.querySelectorAll("[data-sample]")) {
  button.onclick = () => {
    if (ear?.button === live) close();
    const name = `generated voice, ${button.dataset.sample}`;
    const path = `page/samples/${encodeURIComponent(button.dataset.sample)}`;
    ask(path, null, (html) => show(html, name));
  };
}
