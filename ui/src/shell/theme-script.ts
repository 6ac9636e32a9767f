export const THEME_KEY = 'odigos-theme'

/** Runs before the first paint, so that the page is never shown in the wrong theme; static.py allows it by its hash. */
export const THEME_SCRIPT = `try{var t=localStorage.getItem("${THEME_KEY}");if(t==="light"||t==="dark")document.documentElement.dataset.theme=t}catch(e){}`
