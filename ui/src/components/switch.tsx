'use client'
import { Switch as Radix } from 'radix-ui'

interface Props {
  on: boolean
  label: string
  onFlip: (on: boolean) => void
  /** Why it cannot be flipped; empty if it can. It stays reachable, so that everybody can read the reason. */
  blocked?: string
  busy?: boolean
}

export function Switch({ on, label, onFlip, blocked = '', busy = false }: Props) {
  return (
    <Radix.Root
      checked={on}
      aria-label={blocked ? `${label}: ${blocked}` : label}
      aria-disabled={blocked || busy ? true : undefined}
      title={blocked || label}
      onCheckedChange={(next) => {
        if (!blocked && !busy) onFlip(next)
      }}
      className={
        'relative h-6 w-10 shrink-0 rounded-full border border-edge bg-sunken transition-colors ' +
        'data-[state=checked]:border-transparent data-[state=checked]:bg-accent-fill ' +
        'aria-disabled:cursor-not-allowed aria-disabled:opacity-50'
      }
    >
      <Radix.Thumb
        className={
          'block size-4 translate-x-[3px] rounded-full bg-edge transition-transform duration-150 ' +
          'data-[state=checked]:translate-x-[19px] data-[state=checked]:bg-white'
        }
      />
    </Radix.Root>
  )
}
