package fault

// HTTPStatus returns the HTTP status that stands for the kind (RFC 9110, section 15; RFC 6585), as
// documented in docs/errors.md. Numbers, not net/http's names, keep that package out of pure ones.
func HTTPStatus(kind Kind) int {
	switch kind {
	case NotFound:
		return 404
	case AlreadyExists:
		return 409
	case Unauthenticated:
		return 401
	case AccessDenied:
		return 403
	case BadParameter:
		return 400
	case LimitExceeded:
		return 429
	case ConnectionProblem:
		return 503
	case CompareFailed:
		return 412
	default:
		return 500
	}
}

// SQLState returns the five-character SQLSTATE under which a refusal of the kind is told to a client
// of an SQL database (PostgreSQL, appendix A "PostgreSQL Error Codes").
func SQLState(kind Kind) string {
	switch kind {
	case NotFound:
		return "3D000" // invalid_catalog_name
	case Unauthenticated, AccessDenied:
		return "28000" // invalid_authorization_specification
	case BadParameter:
		return "08P01" // protocol_violation
	case LimitExceeded:
		return "53300" // too_many_connections
	case ConnectionProblem:
		return "08006" // connection_failure
	default:
		return "58000" // system_error
	}
}
