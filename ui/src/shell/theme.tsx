'use client'
import { DropdownMenu } from 'radix-ui'
import { useSyncExternalStore } from 'react'
import { Icon, type IconName } from '@/components/icons'
import { THEME_KEY } from './theme-script'

const THEMES = {
  system: { word: 'As the system', icon: 'screen' },
  light: { word: 'Light', icon: 'sun' },
  dark: { word: 'Dark', icon: 'moon' },
} as const satisfies Record<string, { word: string; icon: IconName }>

type Theme = keyof typeof THEMES

const watchers = new Set<() => void>()

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

function read(): Theme {
  const said = document.documentElement.dataset.theme
  return said === 'light' || said === 'dark' ? said : 'system'
}

function choose(theme: Theme): void {
  const root = document.documentElement
  if (theme === 'system') delete root.dataset.theme
  else root.dataset.theme = theme
  try {
    if (theme === 'system') localStorage.removeItem(THEME_KEY)
    else localStorage.setItem(THEME_KEY, theme)
  } catch {
    // A browser that keeps nothing: the theme holds until the tab closes.
  }
  for (const watcher of watchers) watcher()
}

export function ThemeMenu() {
  const theme = useSyncExternalStore(watch, read, () => 'system' as Theme)
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger
        aria-label={`Theme: ${THEMES[theme].word.toLowerCase()}`}
        title="Theme"
        className="inline-grid size-9 place-items-center rounded-lg text-muted hover:bg-sunken hover:text-text"
      >
        <Icon name={THEMES[theme].icon} className="size-[1.15rem]" />
      </DropdownMenu.Trigger>
        <DropdownMenu.Content
          align="end"
          sideOffset={6}
          className="z-40 min-w-44 animate-appear rounded-xl border border-line bg-surface p-1.5 text-sm shadow-float"
        >
          <DropdownMenu.RadioGroup value={theme} onValueChange={(next) => choose(next as Theme)}>
            {Object.entries(THEMES).map(([name, look]) => (
              <DropdownMenu.RadioItem
                key={name}
                value={name}
                className="flex cursor-pointer items-center gap-2.5 rounded-lg px-2.5 py-2 outline-none data-[highlighted]:bg-sunken"
              >
                <Icon name={look.icon} className="size-4 text-muted" />
                <span className="flex-1">{look.word}</span>
                <DropdownMenu.ItemIndicator>
                  <Icon name="done" className="size-4 text-accent" />
                </DropdownMenu.ItemIndicator>
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
        </DropdownMenu.Content>
    </DropdownMenu.Root>
  )
}
