// Sets the theme that was chosen by hand before anything is drawn, so that a dark page does not begin with a flash.
try {
  const theme = localStorage.getItem("chat:theme");
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
} catch {
  // Without storage, the theme is that of the system.
}
