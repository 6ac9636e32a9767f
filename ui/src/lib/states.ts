/** How each state looks and reads: a word, a tone, a glyph. Colour never stands alone. */
import type { IconName } from '@/components/icons'
import type { ApplicationView, ConditionView, DestinationView } from './api.gen'
import { words } from './format'

export type ApplicationState = ApplicationView['state']
export type Tone = 'ok' | 'wait' | 'warn' | 'bad' | 'rest'

export interface Look {
  word: string
  tone: Tone
  icon: IconName
}

export const APPLICATION: Readonly<Record<ApplicationState, Look>> = {
  instrumented: { word: 'Instrumented', tone: 'ok', icon: 'check' },
  waiting: { word: 'Waiting', tone: 'wait', icon: 'clock' },
  failed: { word: 'Failed', tone: 'bad', icon: 'cross' },
  notInstrumentable: { word: 'Not possible', tone: 'warn', icon: 'barred' },
  stopping: { word: 'Being taken back', tone: 'wait', icon: 'back' },
  notSelected: { word: 'Not chosen', tone: 'rest', icon: 'ring' },
}

/** In the order in which a person wants to see them. */
export const APPLICATION_STATES = Object.keys(APPLICATION) as ApplicationState[]

export const DESTINATION: Readonly<Record<DestinationView['state'], Look>> = {
  ok: { word: 'Delivering', tone: 'ok', icon: 'check' },
  pending: { word: 'Waiting', tone: 'wait', icon: 'clock' },
  error: { word: 'Not delivering', tone: 'bad', icon: 'cross' },
  disabled: { word: 'Switched off', tone: 'rest', icon: 'ring' },
}

export const LINKS: Readonly<Record<string, string>> = {
  Marked: 'Chosen',
  RuntimeDetected: 'Language detected',
  CollectorAssigned: 'Collector assigned',
  AgentEnabled: 'Agent chosen',
  RolledOut: 'Restarted',
  PodsInjected: 'Pods carry the agent',
  Configured: 'Configured',
  Delivering: 'Delivering',
  ConfigValid: 'Configuration valid',
  Deployed: 'Deployed',
  Ready: 'Ready',
}

/** Links of the chain: those done, the first that is open (it decides the state), and those that come after it. */
export function linkLooks(chain: readonly ConditionView[], open: Look): Look[] {
  const first = chain.findIndex((link) => link.status !== 'True')
  return chain.map((link, index) => {
    if (link.status === 'True') return { word: 'Done', tone: 'ok', icon: 'check' }
    if (index === first && open.tone !== 'ok' && open.tone !== 'rest') return open
    return { word: 'Later', tone: 'rest', icon: 'ring' }
  })
}

/** The reason in words, where it says more than the state's own word does. */
export function because(look: Look, reason: string): string {
  const said = words(reason)
  return said === look.word.toLowerCase() || reason === 'NotSelected' ? '' : said
}

const LANGUAGES: Readonly<Record<string, string>> = {
  java: 'Java',
  python: 'Python',
  nodejs: 'Node.js',
  go: 'Go',
  dotnet: '.NET',
  php: 'PHP',
  ruby: 'Ruby',
  rust: 'Rust',
  cpp: 'C++',
  nginx: 'nginx',
  'graalvm-native': 'GraalVM native',
}

export function language(name: string): string {
  return LANGUAGES[name] ?? name
}
