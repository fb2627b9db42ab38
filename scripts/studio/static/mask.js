// The mask of inpainting: what is painted white is drawn anew. As large as the image, because the job wants it so.
"use strict";

(() => {
  const canvas = document.getElementById("mask-canvas");
  const dialog = document.getElementById("mask");
  const brush = document.getElementById("brush");
  const told = document.getElementById("mask-told");
  const { DOES, fill, done, upload } = window.studio;
  const mask = document.createElement("canvas");
  const picture = new Image();
  let at = null;
  let cursor = { x: 0, y: 0 };
  let erases = false;
  let last = null;

  window.paintMask = (chosen) => {
    at = chosen;
    told.textContent = "";
    picture.onload = () => {
      for (const one of [canvas, mask]) { one.width = picture.naturalWidth; one.height = picture.naturalHeight; }
      cursor = { x: canvas.width / 2, y: canvas.height / 2 };
      brush.max = Math.max(canvas.width, canvas.height) / 2;
      brush.value = Math.max(canvas.width, canvas.height) / 8;
      clear();
      dialog.showModal();
      canvas.focus();
    };
    picture.src = chosen.image;
  };
  function clear() {
    const ink = mask.getContext("2d", { willReadFrequently: true });
    ink.clearRect(0, 0, mask.width, mask.height);
    show();
  }
  function show() {
    const ink = canvas.getContext("2d");
    ink.clearRect(0, 0, canvas.width, canvas.height);
    ink.drawImage(picture, 0, 0);
    ink.globalAlpha = 0.6;
    ink.drawImage(mask, 0, 0);
    ink.globalAlpha = 1;
    ink.beginPath();
    ink.arc(cursor.x, cursor.y, Number(brush.value) / 2, 0, 7);
    ink.lineWidth = Math.max(1, canvas.width / 200);
    ink.strokeStyle = "#fff";
    ink.stroke();
    ink.setLineDash([ink.lineWidth * 2]);
    ink.strokeStyle = "#000";
    ink.stroke();
    ink.setLineDash([]);
  }
  function paint(from, to, takesAway) {
    const ink = mask.getContext("2d");
    ink.globalCompositeOperation = takesAway ? "destination-out" : "source-over";
    ink.strokeStyle = "#ff2d9b"; // is seen on most pictures; only its opacity counts
    ink.lineCap = "round";
    ink.lineWidth = Number(brush.value);
    ink.beginPath();
    ink.moveTo(from.x, from.y);
    ink.lineTo(to.x + 0.01, to.y);
    ink.stroke();
    show();
  }
  function place(event) {
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height); // the image is within the box, in its middle
    return {
      x: (event.clientX - box.left - box.width / 2) / scale + canvas.width / 2,
      y: (event.clientY - box.top - box.height / 2) / scale + canvas.height / 2,
    };
  }
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    cursor = last = place(event);
    paint(last, last, erases);
  });
  canvas.addEventListener("pointermove", (event) => {
    cursor = place(event);
    if (last) { paint(last, cursor, erases); last = cursor; } else show();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = Math.max(1, Number(brush.value) / (event.shiftKey ? 1 : 4));
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) {
      const [x, y] = moves[event.key];
      cursor = { x: Math.min(canvas.width, Math.max(0, cursor.x + x)), y: Math.min(canvas.height, Math.max(0, cursor.y + y)) };
      show();
    } else if (event.key === " ") paint(cursor, cursor, erases);
    else if (event.key === "Backspace") paint(cursor, cursor, true);
    else if (event.key === "+" || event.key === "-") {
      brush.value = Number(brush.value) * (event.key === "+" ? 1.25 : 0.8);
      show();
    } else return;
    event.preventDefault();
    told.textContent = `Brush at ${Math.round(cursor.x)}, ${Math.round(cursor.y)}; ${Math.round(100 * share())} percent is painted.`;
  });
  brush.addEventListener("input", show);
  function share() {
    const pixels = mask.getContext("2d").getImageData(0, 0, mask.width, mask.height).data;
    let painted = 0;
    for (let k = 3; k < pixels.length; k += 4) painted += pixels[k] > 127;
    return painted / (mask.width * mask.height);
  }
  DOES["mask-clear"] = clear;
  DOES["mask-erase"] = (_, button) => {
    erases = !erases;
    button.setAttribute("aria-pressed", String(erases));
  };
  DOES["mask-done"] = async () => {
    const whole = document.createElement("canvas");
    [whole.width, whole.height] = [mask.width, mask.height];
    const ink = whole.getContext("2d");
    ink.drawImage(mask, 0, 0);
    ink.globalCompositeOperation = "source-in";
    ink.fillStyle = "#fff";
    ink.fillRect(0, 0, whole.width, whole.height);
    ink.globalCompositeOperation = "destination-over";
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, whole.width, whole.height);
    const file = await new Promise((take) => whole.toBlob(take, "image/png"));
    const answer = await upload("InitMask", new File([file], "mask.png"));
    if (answer.error) { told.textContent = answer.error; return; }
    fill([["Prompt", at.values.Prompt], ["InitImage", at.key], ["InitMask", answer.key], ["Height", ""], ["Width", ""], ["Upscale", ""]]);
    done("What is painted is drawn anew: say what is to be there.");
  };
})();
