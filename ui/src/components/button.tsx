import type { ComponentProps } from 'react'
import { Icon, type IconName } from './icons'
import { Link } from './link'

type Kind = 'primary' | 'plain' | 'quiet' | 'danger'

const BASE =
  'inline-flex items-center justify-center gap-2 rounded-lg font-medium whitespace-nowrap transition-colors ' +
  'disabled:cursor-not-allowed disabled:opacity-55 aria-disabled:cursor-not-allowed aria-disabled:opacity-55'

const KINDS: Readonly<Record<Kind, string>> = {
  primary: 'bg-accent-fill text-white hover:bg-accent-strong',
  plain: 'border border-line bg-surface text-text hover:bg-hover hover:border-edge',
  quiet: 'text-muted hover:bg-sunken hover:text-text',
  danger: 'border border-line bg-surface text-bad hover:bg-bad-soft hover:border-bad-fill',
}

const SIZES = { normal: 'min-h-9 px-3.5 text-sm', small: 'min-h-8 px-2.5 text-[0.8125rem]' } as const

interface Look {
  kind?: Kind
  size?: keyof typeof SIZES
  icon?: IconName
  /** Something is under way: the button says so and takes no second click. */
  busy?: boolean
}

function classes({ kind = 'plain', size = 'normal' }: Look, more = ''): string {
  return `${BASE} ${KINDS[kind]} ${SIZES[size]} ${more}`
}

export function Button({ kind, size, icon, busy, className, children, ...rest }: Look & ComponentProps<'button'>) {
  return (
    <button
      type="button"
      {...rest}
      aria-busy={busy || undefined}
      disabled={rest.disabled || busy}
      className={classes({ kind, size }, className)}
    >
      {busy ? <Icon name="turning" className="size-4 animate-turn" /> : icon && <Icon name={icon} />}
      {children}
    </button>
  )
}

export function IconButton({ name, label, className = '', ...rest }: { name: IconName; label: string } & ComponentProps<'button'>) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...rest}
      className={`inline-grid size-9 place-items-center rounded-lg text-muted transition-colors hover:bg-sunken hover:text-text disabled:opacity-55 ${className}`}
    >
      <Icon name={name} className="size-[1.15rem]" />
    </button>
  )
}

export function ButtonLink({ kind, size, icon, className, children, ...rest }: Look & ComponentProps<typeof Link>) {
  return (
    <Link {...rest} className={classes({ kind, size }, className)}>
      {icon && <Icon name={icon} />}
      {children}
    </Link>
  )
}
