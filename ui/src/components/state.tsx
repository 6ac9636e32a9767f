import type { Look, Tone } from '@/lib/states'
import { Icon } from './icons'

export const TEXT: Readonly<Record<Tone, string>> = {
  ok: 'text-ok',
  wait: 'text-wait',
  warn: 'text-warn',
  bad: 'text-bad',
  rest: 'text-muted',
}

export const SOFT: Readonly<Record<Tone, string>> = {
  ok: 'bg-ok-soft text-ok',
  wait: 'bg-wait-soft text-wait',
  warn: 'bg-warn-soft text-warn',
  bad: 'bg-bad-soft text-bad',
  rest: 'bg-sunken text-muted',
}

export const FILL: Readonly<Record<Tone, string>> = {
  ok: 'bg-ok-fill',
  wait: 'bg-wait-fill',
  warn: 'bg-warn-fill',
  bad: 'bg-bad-fill',
  rest: 'bg-rest-fill',
}

/** Glyph and word in the tone of the state. */
export function State({ look, className = '' }: { look: Look; className?: string }) {
  return (
    <span className={`inline-flex items-center gap-1.5 text-sm font-medium whitespace-nowrap ${TEXT[look.tone]} ${className}`}>
      <Icon name={look.icon} />
      {look.word}
    </span>
  )
}

export function StatePill({ look }: { look: Look }) {
  return (
    <span className={`inline-flex items-center gap-1.5 rounded-full py-1 pr-3 pl-2 text-sm font-medium whitespace-nowrap ${SOFT[look.tone]}`}>
      <Icon name={look.icon} />
      {look.word}
    </span>
  )
}
