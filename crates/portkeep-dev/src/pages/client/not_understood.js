// Shown if the app's library and `portkeep dev` speak different versions of the protocol.
const box = document.createElement("div");
box.setAttribute("role", "alert");
Object.assign(box.style, {
  all: "initial", position: "fixed", left: "0", right: "0", bottom: "0", zIndex: "2147483647", padding: "0.75em 1em",
  background: "#7f1d1d", color: "#fff", font: "14px/1.4 system-ui, sans-serif",
});
box.textContent = `portkeep dev: ${words}`;
document.documentElement.append(box);
