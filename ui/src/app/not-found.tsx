import { ButtonLink } from '@/components/button'
import { Empty } from '@/components/feedback'

export default function NotFound() {
  return (
    <Empty
      isPage
      icon="search"
      title="There is no such page"
      action={
        <ButtonLink kind="primary" href="/">
          To the overview
        </ButtonLink>
      }
    >
      The address leads nowhere in odigos-cp.
    </Empty>
  )
}
