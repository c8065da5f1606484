/// How many answers of workers are computed a second time.
package enum VerifyShare: Equatable, Sendable {
    case off
    /// This share of the work, 0…1.
    case share(Double)
    case all

    /// One view in a hundred. Including audits and the first checks of unknown hosts, a render of more than a few
    /// hundred views costs less than 2 % more.
    package static let byDefault = VerifyShare.share(0.01)

    /// Reads "off", "all", or a share as a number (`0.02`) or a percentage (`2%`).
    package init?(_ text: String) {
        switch text {
        case "off", "none": self = .off
        case "all": self = .all
        default:
            let isPercentage = text.hasSuffix("%")
            guard let number = Double(isPercentage ? String(text.dropLast()) : text),
                number.isFinite
            else { return nil }
            let share = isPercentage ? number / 100 : number
            guard (0...1).contains(share) else { return nil }
            self = share == 0 ? .off : share == 1 ? .all : .share(share)
        }
    }

    /// The share in the form that `init` reads.
    package var text: String {
        switch self {
        case .off: "off"
        case .all: "all"
        case .share(let share): "\(share)"
        }
    }
}
