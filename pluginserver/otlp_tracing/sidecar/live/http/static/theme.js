// Runs before anything is drawn, so that a page that is to be dark is never white first.
document.documentElement.dataset.theme = localStorage.getItem('theme') || 'auto';
